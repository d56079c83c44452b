"""When an alarm rings, by the examples of "Configuring how CloudWatch alarms treat missing data"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from handlers.contract.alarms.model import Alarm, Expression, Metric, Statistic
from lab.gameday.alarm_state import composite, evaluate, is_evaluated, next_state
from lab.gameday.metric_store import Datum, MetricStore

if TYPE_CHECKING:
    from lab.gameday.alarm_state import State

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
# Data, the newest last (0 within the threshold, X over it, - missing), and the states by TREATMENTS.
# RETAIN stands for "Retain current state".
RETAIN = "INSUFFICIENT_DATA"
THREE_OF_THREE = {
    "0 - X - X": ("OK", "OK", "OK", "OK"),
    "0 - - - -": ("OK", "OK", "OK", "OK"),
    "- - - - -": ("INSUFFICIENT_DATA", RETAIN, "ALARM", "OK"),
    "0 X X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "- - X - -": ("ALARM", RETAIN, "ALARM", "OK"),
}
TWO_OF_THREE = {
    "0 - X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 0 X 0 X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 - X - -": ("OK", "OK", "ALARM", "OK"),
    "- - - - 0": ("OK", "OK", "ALARM", "OK"),
    "- - - X -": ("ALARM", RETAIN, "ALARM", "OK"),
}
METRIC = Metric(namespace="N", name="M")
ALARM = Alarm(
    name="a",
    watches=Statistic(metric=METRIC, statistic="Sum"),
    period_s=60,
    evaluation_periods=3,
    threshold=1,
    unit="things",
    missing_data="ignore",
    severity="page",
    meaning="",
)


def after(
    data: str, *, of: int = 3, points: int = 3, treatment: str = "missing", state: State = "INSUFFICIENT_DATA"
) -> str:
    return next_state(
        [{"0": False, "X": True, "-": None}[each] for each in data.split()],
        evaluation_periods=of,
        datapoints_to_alarm=points,
        missing_data=treatment,  # type: ignore[arg-type] # one of TREATMENTS
        state=state,
    )


@pytest.mark.parametrize(
    ("points", "data", "treatment", "expected"),
    [
        (points, data, treatment, state)
        for points, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for data, states in table.items()
        for treatment, state in zip(TREATMENTS, states, strict=True)
    ],
)
def test_each_cell_of_the_documentation_s_tables_holds(points: int, data: str, treatment: str, expected: str) -> None:
    assert after(data, points=points, treatment=treatment) == expected


@pytest.mark.parametrize("state", ["OK", "ALARM", "INSUFFICIENT_DATA"])
@pytest.mark.parametrize(("points", "data"), [(3, "- - - - -"), (3, "- - X - -"), (2, "- - - X -")])
def test_ignore_keeps_the_state_where_the_tables_say_so(points: int, data: str, state: State) -> None:
    assert after(data, points=points, treatment="ignore", state=state) == state


@pytest.mark.parametrize("data", ["- - - - X", "- - - X -"])
@pytest.mark.parametrize("treatment", ["missing", "ignore"])
def test_single_recent_data_do_not_ring_prematurely(data: str, treatment: str) -> None:
    assert after(data, treatment=treatment, state="OK") == "OK"


def test_one_period_without_data_rings_only_when_the_whole_range_is_empty() -> None:
    """So an alarm on silence rings three periods late, not one: real data from farther back stand in."""
    assert after("0 - -", of=1, points=1, treatment="breaching", state="OK") == "OK"
    assert after("- - -", of=1, points=1, treatment="breaching", state="OK") == "ALARM"


def store_of(*values: float) -> MetricStore:
    """Return data of which each is in a minute of its own, the first in the first."""
    store = MetricStore()
    for minute, value in enumerate(values):
        store.add(Datum(namespace="N", name="M", value=value, at_s=60 * minute))
    return store


@pytest.mark.parametrize(
    ("comparison", "rings_for"),
    [
        ("GreaterThanOrEqualToThreshold", {1, 2}),
        ("GreaterThanThreshold", {2}),
        ("LessThanThreshold", {0}),
        ("LessThanOrEqualToThreshold", {0, 1}),
    ],
)
def test_the_threshold_itself_belongs_where_the_comparison_says(comparison: str, rings_for: set[int]) -> None:
    alarm = replace(ALARM, comparison=comparison, evaluation_periods=1)  # type: ignore[arg-type] # a comparison
    found = {value for value in (0, 1, 2) if evaluate(alarm, store_of(value), now_s=60, state="OK") == "ALARM"}
    assert found == rings_for


def test_it_rings_at_the_last_of_its_periods_and_not_before() -> None:
    store = store_of(0, 0, 1, 1, 1, 0)
    states = [evaluate(ALARM, store, now_s=60 * minute, state="OK") for minute in range(1, 7)]
    assert states == ["OK", "OK", "OK", "OK", "ALARM", "OK"]


def test_the_window_slides_so_a_period_need_not_begin_on_the_hour() -> None:
    alarm = replace(ALARM, period_s=300, evaluation_periods=1, threshold=3)
    store = store_of(0, 0, 0, 1, 1, 1)
    assert evaluate(alarm, store, now_s=300, state="OK") == "OK"
    assert evaluate(alarm, store, now_s=360, state="OK") == "ALARM"


def test_silence_rings_once_the_whole_evaluation_range_is_silent() -> None:
    alarm = replace(ALARM, comparison="LessThanThreshold", evaluation_periods=1, missing_data="breaching", period_s=180)
    store = store_of(1, 1, 1)
    assert evaluate(alarm, store, now_s=60 * 11, state="OK") == "OK"
    assert evaluate(alarm, store, now_s=60 * 12, state="OK") == "ALARM"


def test_an_expression_is_compared_like_a_metric() -> None:
    percent = Expression(formula="100 * m / 4", label="%", inputs={"m": Statistic(metric=METRIC, statistic="Maximum")})
    alarm = replace(ALARM, watches=percent, threshold=75, evaluation_periods=1)
    assert evaluate(alarm, store_of(2), now_s=60, state="OK") == "OK"
    assert evaluate(alarm, store_of(3), now_s=60, state="OK") == "ALARM"


def test_a_query_is_said_not_to_be_evaluated() -> None:
    assert is_evaluated(ALARM)
    assert not is_evaluated(replace(ALARM, watches=Expression(formula="SELECT SUM(a) FROM b", label="sum")))


def test_an_outage_is_any_of_its_alarms_and_nothing_else() -> None:
    states: dict[str, State] = {"a": "OK", "b": "INSUFFICIENT_DATA", "c": "ALARM"}
    assert composite(states, ["a", "b"]) == "OK"
    assert composite(states, ["a", "c"]) == "ALARM"
