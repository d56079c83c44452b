"""An alarm's Terraform JSON in words, and the words that `alarm_facts.txt` has for each of production's alarms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.stacks.conftest import Synthesised

OPERATORS = {
    "GreaterThanOrEqualToThreshold": ">=",
    "GreaterThanThreshold": ">",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "<=",
}
API_ID = "${aws_apigatewayv2_api.status_api_api.id}"


def read_facts() -> dict[str, tuple[str, ...]]:
    """Return the words by the alarm's name."""
    lines = Path(__file__).with_suffix(".txt").read_text().splitlines()
    rows = [[part.strip() for part in line.split("|")] for line in lines if not line.startswith("#")]
    return {name: tuple(words) for name, *words in rows}


def words(stack: Synthesised, body: dict[str, Any]) -> tuple[str, ...]:
    """Say of an alarm's Terraform JSON what the facts say."""
    prefix = body["alarm_name"].removesuffix(f"-{name_of(stack, body)}")
    evaluated = body["evaluation_periods"]
    return (
        _watched(body).replace(prefix, "<prefix>").replace(API_ID, "<api>"),
        f"{body.get('datapoints_to_alarm', evaluated)} of {evaluated}",
        f"{OPERATORS[body['comparison_operator']]} {body['threshold']:,.10g}",
        body["treat_missing_data"],
        body["tags"]["severity"],
    )


def name_of(stack: Synthesised, body: dict[str, Any]) -> str:
    """Return an alarm's name without the deployment's."""
    prefix: str = stack.one("aws_db_instance")["identifier"]
    return str(body["alarm_name"]).removeprefix(f"{prefix}-")


def _watched(body: dict[str, Any]) -> str:
    if "metric_query" not in body:
        return _statistic(body, body.get("statistic") or body["extended_statistic"])
    result, *inputs = body["metric_query"]
    assert [query["return_data"] for query in body["metric_query"]] == [True] + [False] * len(inputs)
    # CloudWatch wants a period on an expression without metrics, and takes that of the metrics else.
    assert ("period" in result) == (not inputs)
    if not inputs:
        return f"{result['expression']} / {result['period']} s"
    return ", ".join(
        [
            result["expression"],
            *(f"{query['id']}: {_statistic(query['metric'], query['metric']['stat'])}" for query in inputs),
        ]
    )


def _statistic(metric: dict[str, Any], statistic: str) -> str:
    whose = " ".join(f"{name}={value}" for name, value in metric.get("dimensions", {}).items())
    return " ".join(
        filter(None, [metric["namespace"], metric["metric_name"], whose, statistic, f"/ {metric['period']} s"])
    )
