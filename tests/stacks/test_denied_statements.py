"""The metric filter of refused statements, against lines that a real PostgreSQL wrote (`record_log_lines.py`)."""

from __future__ import annotations

import pytest

from lab.emulator.filter_pattern import READINGS, Reading, parse
from stacks.alarms.log_lines import (
    DENIED_LIMITS,
    FORMS,
    INSUFFICIENT_PRIVILEGE,
    NAMES_WITH_BLANKS,
    REFUSAL_BY_A_FUNCTION,
    Entry,
    events,
    read_corpus,
)
from stacks.alarms.log_patterns import DENIED_STATEMENT

FILTER = parse(DENIED_STATEMENT)
ENTRIES = read_corpus()


def counted(entry: Entry, form: str, reading: Reading) -> int:
    return sum(FILTER.match(event, reading) is not None for event, _ in events(entry, form))


@pytest.mark.parametrize("form", FORMS)
def test_every_refused_statement_counts_once_and_nothing_else_does(form: str) -> None:
    for reading in READINGS:
        for entry in ENTRIES:
            if entry.scenario not in DENIED_LIMITS:
                assert counted(entry, form, reading) == entry.is_refusal, (reading, entry.text)


@pytest.mark.parametrize("form", FORMS)
def test_limit_a_function_can_fake_a_refusal_with_raise_exception_but_not_with_raise_warning(form: str) -> None:
    for reading in READINGS:
        written = [entry for entry in ENTRIES if entry.scenario == REFUSAL_BY_A_FUNCTION]
        faked = [entry for entry in written if counted(entry, form, reading)]
        assert [entry.sqlstate for entry in faked] == ["P0001"]


def test_the_corpus_holds_every_kind_of_refusal() -> None:
    first_words = {" ".join(entry.text.partition("ERROR:  ")[2].split()[:2]) for entry in ENTRIES if entry.is_refusal}
    assert first_words == {"permission denied", "cannot execute", "must be"}
    assert not any(entry.scenario in NAMES_WITH_BLANKS for entry in ENTRIES if entry.sqlstate == INSUFFICIENT_PRIVILEGE)


def test_the_pattern_fits() -> None:
    assert len(DENIED_STATEMENT) <= 1024
