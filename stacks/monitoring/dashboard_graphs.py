"""The JSON of a graph and of a number: metrics, thresholds, axes and labels.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handlers.contract.alarms.model import Alarm, Expression, Statistic
from stacks.monitoring.widgets.model import Graph, Number, Series
from stacks.monitoring.widgets.units import drawn_unit
from stacks.settings import Settings

# CloudWatch's own red and orange.
COLOURS = {"page": "#d62728", "ticket": "#ff7f0e"}
MARK_COLOUR = "#7f7f7f"
_SHORT = {"Average": "avg", "Maximum": "max", "Minimum": "min", "SampleCount": "count", "Sum": "sum"}

Widget = dict[str, Any]


def graph_widget(settings: Settings, alarms: Mapping[str, Alarm], graph: Graph) -> Widget:
    """Return a graph: what its alarms compare, its series, and a line for each threshold."""
    explained = [alarms[name] for name in graph.alarms]
    unit = drawn_unit(explained[0].unit) if explained else None
    divisor = graph.divisor or (unit.divisor if unit else 1)
    watched = [Series(watches=alarm.watches, period_s=alarm.period_s) for alarm in explained]
    marks = [{"label": mark.label, "value": mark.value / divisor, "color": MARK_COLOUR} for mark in graph.marks]
    is_percent = ", %" in graph.title
    properties = {
        "title": graph.title,
        "region": settings.region,
        "view": "timeSeries",
        "metrics": _metrics(settings, [*watched, *graph.series], divisor),
        "yAxis": {
            "left": {"min": 0, "showUnits": False, **({"max": 100} if is_percent else {})},
            "right": {"min": 0, "showUnits": False},
        },
        "annotations": {"horizontal": [*_thresholds(explained, divisor, unit.name if unit else ""), *marks]},
    }
    return {"type": "metric", "properties": properties}


def number_widget(settings: Settings, alarm: Alarm, number: Number) -> Widget:
    """Return the newest value of what an alarm compares, with its last hours as a small line."""
    watched = Series(watches=alarm.watches, period_s=alarm.period_s)
    properties = {
        "title": number.title,
        "region": settings.region,
        "view": "singleValue",
        "sparkline": True,
        "metrics": _metrics(settings, [watched], drawn_unit(alarm.unit).divisor, label=number.label),
    }
    return {"type": "metric", "properties": properties}


def _thresholds(alarms: Sequence[Alarm], divisor: float, unit: str) -> Iterator[dict[str, Any]]:
    """Yield a line for each threshold; alarms of one graph that have the same share it."""
    shared: dict[tuple[str, float], list[Alarm]] = {}
    for alarm in alarms:
        sign = "<" if alarm.comparison.startswith("Less") else "≥"
        shared.setdefault((sign, alarm.threshold / divisor), []).append(alarm)
    for (sign, value), those in shared.items():
        severity = "page" if any(alarm.severity == "page" for alarm in those) else "ticket"
        names = ", ".join(alarm.name for alarm in those)
        yield {"label": f"{names} {sign} {value:,.10g} {unit}", "value": value, "color": COLOURS[severity]}


def _metrics(settings: Settings, series: Sequence[Series], divisor: float, *, label: str = "") -> list[list[Any]]:
    labels = [label] if label else _labels(settings, series)
    drawn: list[list[Any]] = []
    for number, (each, name) in enumerate(zip(series, labels, strict=True), start=1):
        if isinstance(each.watches, Expression):
            drawn.extend(_expression(each.watches, each.period_s, f"drawn{number}", name))
        elif divisor == 1 or each.on_the_right:
            options = {"label": name, **({"yAxis": "right"} if each.on_the_right else {})}
            drawn.append(_statistic(each.watches, each.period_s, options))
        else:
            scaled = {"expression": f"raw{number} / {divisor:.10g}", "id": f"drawn{number}"}
            drawn.append([{**scaled, "label": name, "period": each.period_s}])
            drawn.append(_statistic(each.watches, each.period_s, {"id": f"raw{number}", "visible": False}))
    return drawn


def _expression(expression: Expression, period_s: int, id_: str, label: str) -> Iterator[list[Any]]:
    # Metric math inherits the period of its metrics; a Metrics Insights query has none to inherit.
    yield [{"expression": expression.formula, "id": id_, "label": label, "period": period_s}]
    for input_id, watched in expression.inputs.items():
        yield _statistic(watched, period_s, {"id": input_id, "visible": False})


def _statistic(watched: Statistic, period_s: int, options: Mapping[str, Any]) -> list[Any]:
    dimensions = [part for dimension in watched.metric.dimensions.items() for part in dimension]
    metric = [watched.metric.namespace, watched.metric.name, *dimensions]
    return [*metric, {"stat": watched.statistic, "period": period_s, **options}]


def _labels(settings: Settings, series: Sequence[Series]) -> list[str]:
    """Return a label for each series: of its owner, metric and statistic only what tells it from the others."""
    parts = [_parts(settings, each) for each in series]
    differing = [len({each[column] for each in parts}) > 1 for column in range(3)]
    if not any(differing):
        differing = [False, True, False]
    return [
        " ".join(part for part, differs in zip(each, differing, strict=True) if differs and part)
        + (" (right)" if one.on_the_right else "")
        for each, one in zip(parts, series, strict=True)
    ]


def _parts(settings: Settings, series: Series) -> tuple[str, str, str]:
    if isinstance(series.watches, Expression):
        return "", series.watches.label, ""
    dimensions, statistic = series.watches.metric.dimensions, series.watches.statistic
    owner = next((value for name, value in dimensions.items() if name in {"FunctionName", "TopicName"}), "")
    return (
        owner.removeprefix(f"{settings.prefix}-"),
        series.watches.metric.name,
        _SHORT.get(statistic, statistic),
    )
