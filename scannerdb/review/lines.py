"""The parts of a summary: sections, items, and lines that mark which text comes from the plan."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Tone = Literal["red", "yellow", "green", "plain"]


class Code(str):
    """Text from the plan: shown literally, never as markup."""

    __slots__ = ()


TextLine = tuple[str | Code, ...]


@dataclass(frozen=True, kw_only=True)
class Diff:
    """A document that changes, as the lines of a unified diff; collapsed in Markdown."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A line with its details, and the documents that change."""

    line: TextLine
    details: tuple[TextLine, ...] = ()
    diffs: tuple[Diff, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with its items; `folded` collapses it in Markdown."""

    title: str
    tone: Tone
    items: tuple[Item, ...]
    folded: bool = False


def commas(names: Iterable[str]) -> Iterator[str | Code]:
    """Yield names from the plan, separated by commas."""
    for place, name in enumerate(names):
        if place:
            yield ", "
        yield Code(name)
