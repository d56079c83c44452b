"""Evaluates alarms as CloudWatch documents it; no emulator does.

Source: "Configuring how CloudWatch alarms treat missing data"; its tables are the tests. Comments mark what it leaves
open.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from handlers.contract.alarms.model import Alarm, Comparison, Expression, MissingData, Statistic
from lab.gameday import metric_math
from lab.gameday.metric_store import MetricStore

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
COMPARISONS: Mapping[Comparison, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
# CloudWatch retrieves more periods than an alarm evaluates, in case data are missing. How many is not documented; its
# examples have five for three.
MORE_PERIODS = 2


def is_evaluated(alarm: Alarm) -> bool:
    """Return whether this module can evaluate an alarm: all but Metrics Insights queries."""
    return not (isinstance(alarm.watches, Expression) and alarm.watches.formula.startswith("SELECT "))


def watched_series(alarm: Alarm, store: MetricStore, now_s: float) -> list[float | None]:
    """Return the watched value in each period of the evaluation range, the newest last."""
    periods = alarm.evaluation_periods + MORE_PERIODS
    if isinstance(alarm.watches, Statistic):
        return store.series(alarm.watches, period_s=alarm.period_s, periods=periods, now_s=now_s)
    inputs = {
        # One more period, so RATE has a value for the first of the range.
        name: store.series(watched, period_s=alarm.period_s, periods=periods + 1, now_s=now_s)
        for name, watched in alarm.watches.inputs.items()
    }
    return metric_math.evaluate(alarm.watches.formula, inputs, period_s=alarm.period_s)[1:]


def evaluate(alarm: Alarm, store: MetricStore, *, now_s: float, state: State) -> State:
    """Return the state of an alarm now, given its state before."""
    compare = COMPARISONS[alarm.comparison]
    return next_state(
        [None if value is None else compare(value, alarm.threshold) for value in watched_series(alarm, store, now_s)],
        evaluation_periods=alarm.evaluation_periods,
        datapoints_to_alarm=alarm.datapoints_to_alarm or alarm.evaluation_periods,
        missing_data=alarm.missing_data,
        state=state,
    )


def next_state(
    breaching: Sequence[bool | None],
    *,
    evaluation_periods: int,
    datapoints_to_alarm: int,
    missing_data: MissingData,
    state: State,
) -> State:
    """Return the state that follows from the data points of an evaluation range.

    Args:
        breaching: whether each period's data point breaches the threshold, the newest last; `None` where it is missing.
        evaluation_periods: how many data points are needed.
        datapoints_to_alarm: how many breaching ones make an alarm.
        missing_data: what missing data points count as.
        state: the state until now.

    """
    known = [each for each in breaching if each is not None]
    # Older data points take the place of missing ones, as long as there are enough.
    over = sum(known[-evaluation_periods:])
    if over >= datapoints_to_alarm:
        return "ALARM"
    to_fill = evaluation_periods - len(known)
    if to_fill <= 0 or missing_data == "notBreaching":
        return "OK"
    if missing_data == "breaching":
        return "ALARM" if over + to_fill >= datapoints_to_alarm else "OK"
    if not known:
        return state if missing_data == "ignore" else "INSUFFICIENT_DATA"
    if not all(known):
        return "OK"
    # Too few data points, all breaching: ALARM once the oldest is old enough.
    oldest_age = len(breaching) - list(breaching).index(True)
    # Documented: it "does not go immediately into ALARM state". That it keeps its state until then is our reading.
    return "ALARM" if missing_data == "missing" and oldest_age >= datapoints_to_alarm else state


def composite(states: Mapping[str, State], names: Sequence[str]) -> State:
    """Return the state of the composite alarm `ALARM(a) OR ALARM(b) ...`."""
    return "ALARM" if any(states[name] == "ALARM" for name in names) else "OK"
