"""Whether each alarm is there, has data where it should, and is quiet; whether its metric math returns data."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from handlers.contract import metrics
from handlers.contract.alarms.messages import OUTAGE
from handlers.contract.alarms.model import DAY_S, MINUTE_S, Alarm
from scannerdb.checks.model import Answer, Check, Context, not_answered, ok, refused, warning
from stacks.alarms import catalogue

# CloudWatch evaluates once a minute, and metrics of AWS arrive some minutes late.
LATE_S = 10 * MINUTE_S
# The nightly verification alone publishes it, where the deploy did not verify.
DAILY = {metrics.DRIFTED_JOBS}
# How far back metric math is asked: three periods of an alarm, and at least an hour.
PERIODS = 3
SHORTEST_S = 3600


def _described(context: Context) -> dict[str, dict[str, Any]]:
    """Return the deployed alarms by the name that the records give them."""
    prefix = f"{context.settings.prefix}-"
    pages = (
        context.aws("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    )
    found = [alarm for page in pages for alarm in (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", []))]
    return {alarm["AlarmName"].removeprefix(prefix): alarm for alarm in found}


def _alarms(context: Context) -> Iterator[Answer]:
    described, records = _described(context), {alarm.name: alarm for alarm in catalogue(context.settings)}
    if missing := [name for name in (*records, OUTAGE.name) if name not in described]:
        deploy = f"node_modules/.bin/cdktf deploy {context.settings.environment}"
        yield refused(f"not deployed: {', '.join(missing)}", next=deploy)
    answers = [_state(described[name], alarm, context.now) for name, alarm in records.items() if name in described]
    bad = [answer for answer in answers if answer.state != "ok"]
    yield from bad
    if not missing and not bad:
        yield ok(f"{len(described)} deployed, none rings, each has the data that it should have")


def _state(described: dict[str, Any], alarm: Alarm, now: dt.datetime) -> Answer:
    """Judge one alarm. Before its evaluation periods have passed, it cannot have data."""
    if described["StateValue"] == "ALARM":
        return warning(f"{alarm.name} rings: {described['StateReason']}", next=f"scannerdb doctor {alarm.name}")
    if described["StateValue"] != "INSUFFICIENT_DATA":
        return ok(alarm.name)
    is_daily = any(metric.name in DAILY for metric in alarm.metrics())
    due_s = max(alarm.period_s * alarm.evaluation_periods, DAY_S if is_daily else 0) + LATE_S
    age_s = (now - described["AlarmConfigurationUpdatedTimestamp"]).total_seconds()
    if age_s < due_s:
        return not_answered(
            f"{alarm.name} has no data yet, {age_s / 60:.0f} min after it was made",
            next=f"ask again in {(due_s - age_s) / 60:.0f} min",
        )
    return refused(
        f"{alarm.name} has no data, {age_s / 60:.0f} min after it was made: {described['StateReason']}",
        next="look for its metric in CloudWatch: a dimension is wrong, or what publishes it does not run",
    )


def _metric_math(context: Context) -> Iterator[Answer]:
    """Ask for the data of each alarm that computes, with its own queries."""
    described = _described(context)
    good = []
    for alarm in catalogue(context.settings):
        queries = described.get(alarm.name, {}).get("Metrics", [])
        if not queries:
            continue
        answer = _data(context, alarm, queries)
        if answer.state == "ok":
            good.append(answer.seen)
        else:
            yield answer
    if good:
        yield ok("; ".join(good))


def _data(context: Context, alarm: Alarm, queries: list[dict[str, Any]]) -> Answer:
    now = context.now
    answer = context.aws("cloudwatch").get_metric_data(
        MetricDataQueries=queries,
        StartTime=now - dt.timedelta(seconds=max(PERIODS * alarm.period_s, SHORTEST_S)),
        EndTime=now,
    )
    messages = [each["Value"] for each in answer.get("Messages", [])]
    (result,) = [each for each in answer["MetricDataResults"] if each["Id"] in _returned(queries)]
    messages += [each["Value"] for each in result.get("Messages", [])]
    if messages or result["StatusCode"] in {"InternalError", "Forbidden"}:
        return refused(f"{alarm.name}: {result['StatusCode']} {'; '.join(messages)}", next="correct its formula")
    if values := result["Values"]:
        return ok(f"{alarm.name} {len(values)} values")
    if alarm.missing_data == "notBreaching":
        return ok(f"{alarm.name} none, which is well")
    return warning(
        f"{alarm.name} returned no value in {max(PERIODS * alarm.period_s, SHORTEST_S) // 60} min",
        next="ask again when the environment is a few hours old",
    )


def _returned(queries: list[dict[str, Any]]) -> set[str]:
    return {query["Id"] for query in queries if query.get("ReturnData", True)}


ALARMS = (
    Check(name="alarms", asked="alarms", ask=_alarms),
    Check(name="metric-math", asked="metric math of the alarms", ask=_metric_math),
)
