"""Lines that a real PostgreSQL wrote with RDS's prefix, and what the metric filters should make of each.

`make log-lines` records them anew. The tests hold the patterns against them by what AWS documents; `scannerdb accept`
has CloudWatch Logs itself do it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).with_name("postgresql-17.jsonl")
WHOLE, BY_LINE = "one event for an entry", "one event for a line"
FORMS = (WHOLE, BY_LINE)

# https://www.postgresql.org/docs/17/errcodes-appendix.html
INSUFFICIENT_PRIVILEGE, READ_ONLY = "42501", "25006"

# Scenarios that no filter pattern can tell apart; a test for each says what happens instead.
NAMES_WITH_BLANKS = frozenset(
    {"a name with a blank", "a name with blanks in brackets", "a name with the label between blanks"}
)
NAME_LIKE_A_MEASUREMENT = "a name that looks like a measurement"
WRITTEN_BY_A_FUNCTION = "a function that writes what looks like a measurement"
REFUSAL_BY_A_FUNCTION = "a function that writes what looks like a refusal"
WRITTEN_IN_A_COMMENT = "a comment that looks like the log"
# These depend on how CloudWatch reads what its documentation leaves open.
QUOTATION_MARK_IN_A_NAME = "a name with a quotation mark"
LINE_END_FIRST = "a line end first"
SLOW_LIMITS = NAMES_WITH_BLANKS | {
    NAME_LIKE_A_MEASUREMENT,
    WRITTEN_BY_A_FUNCTION,
    WRITTEN_IN_A_COMMENT,
    QUOTATION_MARK_IN_A_NAME,
    LINE_END_FIRST,
}
DENIED_LIMITS = frozenset({REFUSAL_BY_A_FUNCTION})


@dataclass(frozen=True)
class Entry:
    """One log entry: what it was written for, the milliseconds it measures, the SQLSTATE of an error, its text."""

    scenario: str
    milliseconds: float | None
    sqlstate: str | None
    text: str

    @property
    def is_refusal(self) -> bool:
        """Whether a role was refused what it asked for."""
        return self.sqlstate in {INSUFFICIENT_PRIVILEGE, READ_ONLY}


def read_corpus() -> list[Entry]:
    """Return the committed entries, in the order they were written."""
    return [Entry(**json.loads(line)) for line in CORPUS.read_text().splitlines()]


def events(entry: Entry, form: str) -> Iterator[tuple[str, list[float]]]:
    """Yield the events that CloudWatch gets for an entry, and the data that each should publish.

    RDS does not document whether an entry of several lines is one event or an event for each line.
    """
    expected = [] if entry.milliseconds is None else [entry.milliseconds]
    first, *more = entry.text.splitlines() if form == BY_LINE else [entry.text.removesuffix("\n")]
    yield first, expected
    yield from ((line, []) for line in more)
