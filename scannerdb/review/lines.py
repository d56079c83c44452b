"""Text in pieces: sections of items, whose lines tell the plan's own words from ours."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Tone = Literal["red", "yellow", "green", "plain"]


class Code(str):
    """Text of the plan: shown as it is, never read as markup."""

    __slots__ = ()


Line = tuple[str | Code, ...]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A line and what belongs to it."""

    line: Line
    details: tuple[Line, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with its items; `folded` where few will read them."""

    title: str
    tone: Tone
    items: tuple[Item, ...]
    folded: bool = False


def commas(names: Iterable[str]) -> Iterator[str | Code]:
    """Yield names of the plan as a list in a sentence."""
    for place, name in enumerate(names):
        if place:
            yield ", "
        yield Code(name)
