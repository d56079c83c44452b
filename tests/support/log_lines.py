"""Lines that a real PostgreSQL wrote (`record_log_lines.py`), and the events that CloudWatch makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = ROOT / "tests" / "stacks" / "log_lines" / "postgresql-17.jsonl"
WHOLE, BY_LINE = "one event for an entry", "one event for a line"
FORMS = (WHOLE, BY_LINE)

# Scenarios that no filter pattern can tell apart; a test for each says what happens instead.
NAMES_WITH_BLANKS = {"a name with a blank", "a name with blanks in brackets", "a name with the label between blanks"}
WRITTEN_BY_A_FUNCTION = "a function that writes what looks like a measurement"


@dataclass(frozen=True)
class Entry:
    """One log entry: what it was written for, the milliseconds it measures, the SQLSTATE of an error, its text."""

    scenario: str
    milliseconds: float | None
    sqlstate: str | None
    text: str


def read_corpus() -> list[Entry]:
    """Return the committed entries, in the order they were written."""
    return [Entry(**json.loads(line)) for line in CORPUS.read_text().splitlines()]


def events(entry: Entry, form: str) -> Iterator[tuple[str, list[float]]]:
    """Yield the events that CloudWatch gets for an entry, and the data that each should publish."""
    expected = [] if entry.milliseconds is None else [entry.milliseconds]
    first, *more = entry.text.splitlines() if form == BY_LINE else [entry.text.removesuffix("\n")]
    yield first, expected
    yield from ((line, []) for line in more)
