"""The metric filters of slow statements, against lines that a real PostgreSQL wrote (`record_log_lines.py`).

RDS does not document whether an entry of several lines is one CloudWatch event or an event for each line, so every test
is made both ways. What the filter's documentation leaves open is read in every way too.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest

from lab.emulator.filter_pattern import READINGS, Reading, parse
from stacks.alarms.log_lines import (
    BY_LINE,
    FORMS,
    LINE_END_FIRST,
    NAME_LIKE_A_MEASUREMENT,
    NAMES_WITH_BLANKS,
    QUOTATION_MARK_IN_A_NAME,
    SLOW_LIMITS,
    WHOLE,
    WRITTEN_BY_A_FUNCTION,
    WRITTEN_IN_A_COMMENT,
    events,
    read_corpus,
)
from stacks.alarms.log_patterns import SLOW_LOGGED_STATEMENT, SLOW_STATEMENT
from tests.support.log_scenarios import SCENARIOS
from tests.support.record_log_lines import measured_ms

PATTERNS = (SLOW_STATEMENT, SLOW_LOGGED_STATEMENT)
FILTERS = tuple(parse(pattern) for pattern in PATTERNS)
ENTRIES = read_corpus()

# Scenarios in which no statement is slow and done.
NOTHING_MEASURED = {
    "a fast statement",
    "an error",
    "an error in what looks like a measurement",
    "a statement that was cancelled",
    "an autovacuum",
    "a statement without the right",
    "a statement of somebody who is not the owner",
    "a write in a transaction that only reads",
    "an error in what looks like a refusal",
    "a function that writes what looks like a refusal",
    WRITTEN_BY_A_FUNCTION,
}


def limits(reading: Reading, form: str) -> set[str]:
    """Return the scenarios that are not counted rightly."""
    found = {*NAMES_WITH_BLANKS, NAME_LIKE_A_MEASUREMENT, WRITTEN_BY_A_FUNCTION}
    if form == BY_LINE:
        found.add(WRITTEN_IN_A_COMMENT)
        if not reading.ellipsis_may_be_empty:
            found.add(LINE_END_FIRST)
    if reading.marks_hold_inside_a_word:
        found.add(QUOTATION_MARK_IN_A_NAME)
    return found


def published(event: str, reading: Reading) -> list[float]:
    """Return the data that the filters publish for one event."""
    values = (pattern.metric_value(event, "$milliseconds", reading) for pattern in FILTERS)
    return [value for value in values if value is not None]


@cache
def wrong(reading: Reading, form: str) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return, by scenario, what was to be published and what was, for each event where these differ."""
    found: dict[str, list[tuple[list[float], list[float]]]] = {}
    for entry in ENTRIES:
        for event, expected in events(entry, form):
            if (values := published(event, reading)) != expected:
                found.setdefault(entry.scenario, []).append((expected, values))
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_slow_statement_counts_once_with_its_milliseconds_and_nothing_else_does(form: str) -> None:
    for reading in READINGS:
        found = wrong(reading, form)
        assert set(found) == limits(reading, form), (reading, found)


def test_the_known_limits_are_those_of_all_readings_and_forms_together() -> None:
    assert set().union(*(limits(reading, form) for reading in READINGS for form in FORMS)) == SLOW_LIMITS


@pytest.mark.parametrize(
    ("scenario", "form"),
    [(scenario, form) for form in FORMS for scenario in SCENARIOS if scenario not in limits(Reading(), form)],
)
def test_what_a_scenario_publishes_is_what_the_server_measured(scenario: str, form: str) -> None:
    entries = [entry for entry in ENTRIES if entry.scenario == scenario]
    measured = [entry.milliseconds for entry in entries if entry.milliseconds is not None]
    data = [value for entry in entries for event, _ in events(entry, form) for value in published(event, Reading())]
    assert data == measured


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scenario", sorted(NAMES_WITH_BLANKS))
def test_limit_statements_of_a_user_whose_name_holds_a_blank_are_not_counted(scenario: str, form: str) -> None:
    for reading in READINGS:
        ((expected, values),) = wrong(reading, form)[scenario]
        assert (len(expected), values) == (1, [])


@pytest.mark.parametrize("form", FORMS)
def test_limit_who_may_name_a_role_can_fake_a_measurement(form: str) -> None:
    # Each of its lines: connection authenticated and authorized, plan, statement, error with its text, disconnection.
    for reading in READINGS:
        values = [values for _, values in wrong(reading, form)[NAME_LIKE_A_MEASUREMENT]]
        assert values == [[77777.0]] * 7


@pytest.mark.parametrize("form", FORMS)
def test_limit_a_function_can_fake_a_measurement_with_raise_log_but_not_with_raise_warning(form: str) -> None:
    for reading in READINGS:
        assert wrong(reading, form)[WRITTEN_BY_A_FUNCTION] == [([], [88888.0])]


def test_limit_a_comment_can_fake_a_measurement_if_each_line_is_an_event() -> None:
    for reading in READINGS:
        # Once in the statement; in the plan, JSON keeps the query on one line.
        assert wrong(reading, BY_LINE)[WRITTEN_IN_A_COMMENT] == [([], [99999.0])]


@pytest.mark.parametrize("form", FORMS)
def test_limit_an_odd_quotation_mark_in_a_name_may_hide_a_statement(form: str) -> None:
    for reading in READINGS:
        if reading.marks_hold_inside_a_word:
            ((expected, values),) = wrong(reading, form)[QUOTATION_MARK_IN_A_NAME]
            assert (len(expected), values) == (1, [])


def test_limit_a_statement_that_begins_with_a_line_end_may_be_missed_if_each_line_is_an_event() -> None:
    reading = Reading(ellipsis_may_be_empty=False)
    ((expected, values),) = wrong(reading, BY_LINE)[LINE_END_FIRST]
    assert (len(expected), values) == (1, [])


def test_a_plan_counts_under_no_pattern_also_when_it_is_of_a_statement_inside_a_function() -> None:
    plans = [entry for entry in ENTRIES if re.search(r"ms  plan:\n\t\{", entry.text)]
    assert sum(plan.scenario == "slow inside a function" for plan in plans) == 3
    faked = [plan for plan in plans if published(plan.text, Reading())]
    assert {plan.scenario for plan in faked} == {NAME_LIKE_A_MEASUREMENT}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_pattern_is_needed(pattern: str) -> None:
    other = next(parse(each) for each in PATTERNS if each != pattern)
    missed = {
        entry.scenario
        for entry in ENTRIES
        if entry.milliseconds and other.metric_value(entry.text, "$milliseconds", Reading()) is None
    }
    assert missed - limits(Reading(), WHOLE)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_fits_and_names_the_value(pattern: str) -> None:
    assert len(pattern) <= 1024
    assert "milliseconds" in pattern


def test_the_corpus_holds_every_scenario_and_says_for_each_what_it_measures() -> None:
    assert {entry.scenario for entry in ENTRIES} == set(SCENARIOS)
    measured = Counter(entry.scenario for entry in ENTRIES if entry.milliseconds is not None)
    assert set(SCENARIOS) - set(measured) == NOTHING_MEASURED
    assert {name: measured[name] for name in ("a slow statement", "slow inside a function", "several lines")} == {
        "a slow statement": 1,
        "slow inside a function": 1,
        "several lines": 1,
    }


def test_an_entry_s_milliseconds_are_those_of_its_text() -> None:
    for entry in ENTRIES:
        if entry.milliseconds is not None:
            assert f":LOG:  duration: {entry.milliseconds:.3f} ms" in entry.text
            assert f"duration: {entry.milliseconds:.3f} ms  plan:" not in entry.text


@pytest.mark.parametrize(
    ("kind", "is_measured"),
    [
        (r"ms  statement: SELECT", True),
        (r"ms  statement: \n\t", True),
        (r"ms  statement: (/\*|--)", True),
        (r"ms  parse <unnamed>: ", True),
        (r"ms  bind <unnamed>: ", True),
        (r"ms  execute <unnamed>: ", True),
        (r"ms  execute named: ", True),
        (r"ms  fastpath function call: ", True),
        (r"LOG:  duration: \S+ ms\n", True),
        (r"ms  plan:\n\t\{", False),
        (r'"Node Type": "Gather', False),
        (r"CONTEXT:  ", False),
        (r"DETAIL:  Parameters: ", False),
        (r"ERROR:  ", False),
        (r"STATEMENT:  duration: ", False),
        (r"WARNING:  duration: ", False),
        (r"LOG:  statement: CREATE TABLE", False),
        (r"connection received: ", False),
        (r"connection authorized: ", False),
        (r"disconnection: session time: ", False),
        (r"checkpoint complete: .*total=", False),
        (r"automatic vacuum of table(.|\n)*elapsed: ", False),
        (r"temporary file: path ", False),
        (r"still waiting for .* after .* ms", False),
    ],
)
def test_the_corpus_holds_every_kind_of_line(kind: str, is_measured: bool) -> None:
    found = [entry for entry in ENTRIES if re.search(kind, entry.text)]
    assert any((entry.milliseconds is not None) == is_measured for entry in found)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"error_severity": "LOG", "message": "duration: 1.500 ms  statement: SELECT 1"}, 1.5),
        ({"error_severity": "LOG", "message": "duration: 1.500 ms"}, 1.5),
        ({"error_severity": "LOG", "message": "duration: 1.500 ms  plan:\n{}"}, None),
        (
            {"error_severity": "LOG", "message": "duration: 1.500 ms  statement: x", "context": "PL/pgSQL function"},
            None,
        ),
        ({"error_severity": "WARNING", "message": "duration: 1.500 ms  statement: x"}, None),
        ({"error_severity": "LOG", "message": "statement: duration: 1.500 ms"}, None),
    ],
)
def test_the_recorder_takes_its_expectation_from_the_structured_log(
    record: dict[str, str], expected: float | None
) -> None:
    assert measured_ms(record) == expected
