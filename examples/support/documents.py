"""Retrieval over this repository's own Markdown: load, cut into passages, rank by BM25.

Small enough to read in a minute and exact: the same files give the same ranking. No tracing here;
the agent wraps `Index.search` in retriever spans.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# The usual BM25 constants: how fast repeated words saturate, how much long passages are held back.
SATURATION = 1.5
LENGTH_WEIGHT = 0.75

STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from has have how i if in into is it its my not of on or our "
    "so than that the their then there these they this to was we what when where which who why will with you "
    "your".split()
)

_WORD = re.compile(r"[a-z0-9][a-z0-9_.\-]*[a-z0-9]|[a-z0-9]")
_HEADING = re.compile(r"^#{1,6}\s+(.*)$")


@dataclass(frozen=True)
class Passage:
    """A section of one file: what a search finds and an answer cites."""

    path: str
    heading: str
    text: str

    @property
    def source(self) -> str:
        """`path#heading`, as an answer cites it."""
        return f"{self.path}#{self.heading}"


@dataclass(frozen=True)
class Hit:
    """A passage and how well it matched."""

    passage: Passage
    score: float


def words(text: str) -> list[str]:
    """The words that count for matching: lower case, plural s cut, without stop words."""
    found = (word.removesuffix("s") if len(word) > 3 else word for word in _WORD.findall(text.lower()))
    return [word for word in found if word not in STOP_WORDS]


def load_passages(root: Path) -> list[Passage]:
    """Every section of the Markdown files at the top of `root` and under `root/docs`."""
    files = sorted(root.glob("*.md")) + sorted((root / "docs").rglob("*.md"))
    passages: list[Passage] = []
    for file in files:
        passages.extend(_sections(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")))
    return passages


def _sections(path: str, text: str) -> list[Passage]:
    """Cuts one file at its headings; a `#` inside a code fence is not a heading."""
    sections: list[tuple[str, list[str]]] = [("top", [])]
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading:
            sections.append((heading[1].strip(), []))
        else:
            sections[-1][1].append(line)
    bodies = ((heading, "\n".join(lines).strip()) for heading, lines in sections)
    return [Passage(path, heading, body) for heading, body in bodies if body]


class Index:
    """BM25 over passages, held in memory."""

    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages
        self._counts = [Counter(words(f"{p.path} {p.heading} {p.heading} {p.text}")) for p in passages]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean_length = sum(self._lengths) / max(len(passages), 1)
        self._document_frequency = Counter(word for counts in self._counts for word in counts)

    def search(self, query: str, limit: int = 3) -> list[Hit]:
        """The best `limit` passages, best first; ties by path, so that runs repeat."""
        wanted = set(words(query))
        hits = [Hit(passage, round(self._score(wanted, i), 4)) for i, passage in enumerate(self.passages)]
        hits.sort(key=lambda hit: (-hit.score, hit.passage.source))
        return [hit for hit in hits[:limit] if hit.score > 0]

    def _score(self, wanted: set[str], i: int) -> float:
        counts = self._counts[i]
        penalty = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * self._lengths[i] / self._mean_length)
        return sum(
            self._rarity(word) * counts[word] * (SATURATION + 1) / (counts[word] + penalty)
            for word in sorted(wanted)
            if word in counts
        )

    def _rarity(self, word: str) -> float:
        n, df = len(self.passages), self._document_frequency[word]
        return math.log(1 + (n - df + 0.5) / (df + 0.5))
