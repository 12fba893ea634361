"""Scores and labels on traces and spans."""

from __future__ import annotations

from ._core import annotate
from ._internal.kinds import AnnotationDataType

__all__ = ["AnnotationDataType", "annotate"]
