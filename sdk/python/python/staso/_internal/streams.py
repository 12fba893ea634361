"""The span of a generator: current only while the body runs, ended when the body ends.

Between two steps the consumer's own place in the tree is put back, and the place the body had
reached (it may have opened spans of its own) is kept for its next step. Places are exchanged by
value, so a body closed from another thread or task is no error.
"""

from __future__ import annotations

import time

from .._core import Span, current_entry, swap_entry

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import Any

# A stream is shown up to this many characters of text, or this many other items.
_TEXT_KEPT = 1_000_000
_ITEMS_KEPT = 100


def _is_text(item: object) -> bool:
    # What an item says of itself (its `__class__`, its `__len__`) may be wrong, or raise.
    return issubclass(type(item), str)


class Stream:
    """One run of a decorated generator."""

    __slots__ = ("_captures", "_count", "_items", "_place", "_size", "_span", "_started")

    def __init__(self, span: Span, captures: bool) -> None:
        self._span = span
        self._captures = captures
        self._count = 0
        self._size = 0
        self._items: list[Any] = []
        outside = current_entry()
        self._started = time.perf_counter()
        span.__enter__()
        self._place = swap_entry(outside)

    def step(self, step: Any, argument: Any) -> Any:
        """Run the body to its next item."""
        outside = swap_entry(self._place)
        try:
            item = step(argument)
        except StopIteration as stop:
            self._end(outside, None, stop.value)
            raise
        except BaseException as error:
            self._end(outside, error)
            raise
        self._place = swap_entry(outside)
        self._note(item)
        return item

    async def step_async(self, step: Any, argument: Any) -> Any:
        """Run the body to its next item."""
        outside = swap_entry(self._place)
        try:
            item = await step(argument)
        except StopAsyncIteration:
            self._end(outside, None)
            raise
        except BaseException as error:
            self._end(outside, error)
            raise
        self._place = swap_entry(outside)
        self._note(item)
        return item

    def close(self, body: Any) -> None:
        """Close the body, whose consumer wants no more."""
        outside = swap_entry(self._place)
        try:
            body.close()
        except BaseException as error:
            self._end(outside, error)
            raise
        self._end(outside, None)

    async def close_async(self, body: Any) -> None:
        """Close the body, whose consumer wants no more."""
        outside = swap_entry(self._place)
        try:
            await body.aclose()
        except BaseException as error:
            self._end(outside, error)
            raise
        self._end(outside, None)

    def _note(self, item: Any) -> None:
        if self._count == 0:
            waited_ms = (time.perf_counter() - self._started) * 1000
            self._span.metadata["staso.stream.first_item_ms"] = round(waited_ms, 3)
        self._count += 1
        size = str.__len__(item) if _is_text(item) else _TEXT_KEPT // _ITEMS_KEPT
        if self._captures and self._size < _TEXT_KEPT:
            self._size += size
            self._items.append(item)

    def _end(self, outside: Any, error: BaseException | None, returned: Any = None) -> None:
        span = self._span
        span.metadata["staso.stream.items"] = self._count
        if self._captures and span.output is None:
            if self._items and all(_is_text(item) for item in self._items):
                span._returned("".join(self._items))
            else:
                span._returned(self._items or returned)
        self._items = []
        span.__exit__(type(error) if error else None, error, None)
        swap_entry(outside)
