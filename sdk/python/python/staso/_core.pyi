from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Literal, final

from typing_extensions import Self

from ._internal.kinds import AnnotationDataType, SpanKind, SpanStatus
from ._internal.reports import EnqueueResult

__version__: str

@final
class Ready:
    def __await__(self) -> Generator[Any, Any, Any]: ...

@final
class Span:
    """One piece of work: a context manager whose block is timed and recorded."""
