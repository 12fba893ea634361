"""``Conversation``: a block whose spans share a conversation, a user, or a remote parent."""

from __future__ import annotations

from .._core import Scope
from .text import fresh_uuid, text_of

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import Literal


class Conversation:
    """A context manager, sync and async, that stands around spans without being one."""

    __slots__ = ("_entered", "_remote", "session_id", "user_id")

    def __init__(
        self,
        session_id: str | None,
        user_id: str | None,
        remote: tuple[str, str, bool] | None = None,
    ) -> None:
        #: The conversation's id.
        self.session_id = session_id
        #: The end user's id.
        self.user_id = user_id
        self._remote = remote
        self._entered: list[Scope | None] = []

    def __enter__(self) -> Conversation:  # noqa: PYI034 - nobody derives from it
        self._entered.append(Scope.enter(self.session_id, self.user_id, self._remote))
        return self

    def __exit__(self, *_exc_info: object) -> Literal[False]:
        scope = self._entered.pop() if self._entered else None
        if scope is not None:
            scope.exit()
        return False

    async def __aenter__(self) -> Conversation:  # noqa: PYI034 - as above
        return self.__enter__()

    async def __aexit__(self, *_exc_info: object) -> Literal[False]:
        return self.__exit__()


def conversation(conversation_id: object = None, *, user_id: object = None) -> Conversation:
    """Group the spans of a block as one conversation; without an id, a fresh one."""
    session = fresh_uuid() if conversation_id is None else text_of(conversation_id)
    return Conversation(session, None if user_id is None else text_of(user_id))
