"""The dashboard's JSON: places the sections on a grid of 24 columns and draws each graph's alarms.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from handlers.contract.alarms.model import Alarm, Metric, Statistic
from stacks.alarms import catalogue, facts
from stacks.alarms.descriptions import console
from stacks.monitoring.log_queries import LogQuery, log_queries
from stacks.monitoring.widgets import sections
from stacks.monitoring.widgets.model import Graph, LogTable, Section, Series
from stacks.settings import Settings

COLUMNS = 24
HEADING_ROWS = 1
HEADER_ROWS = 4
PAGE_ROWS = 3
TICKET_ROWS = 5
GRAPH_ROWS = 6
TABLE_ROWS = 8
# CloudWatch's own red and orange.
COLOURS = {"page": "#d62728", "ticket": "#ff7f0e"}
MARK_COLOUR = "#7f7f7f"

Widget = dict[str, Any]


def body(settings: Settings, *, api_id: str, page_arns: Sequence[str], ticket_arns: Sequence[str]) -> dict[str, Any]:
    """Return the whole dashboard.

    Args:
        settings: of the deployment.
        api_id: of the status API.
        page_arns: of the alarms that page.
        ticket_arns: of those that make a ticket.

    """
    deployment = facts(settings, api_id=api_id)
    alarms = {alarm.name: alarm for alarm in catalogue(settings, api_id=api_id)}
    widgets: list[Widget] = [
        _place(_text(_header(settings)), y=0, height=HEADER_ROWS),
        _place(_alarm_states("What wakes somebody up", page_arns), y=HEADER_ROWS, height=PAGE_ROWS),
        _place(_alarm_states("What makes a ticket", ticket_arns), y=HEADER_ROWS + PAGE_ROWS, height=TICKET_ROWS),
    ]
    for section in sections(settings, deployment, tuple(alarms.values())):
        widgets.extend(_section(settings, alarms, section, y=widgets[-1]["y"] + widgets[-1]["height"]))
    return {"widgets": widgets}


def query_link(settings: Settings, query: LogQuery) -> str:
    """Return the address at which the console runs a query over the last hour.

    The console keeps its state in the address as JSURL, escaped twice.
    """

    def text(value: str) -> str:
        return "'" + quote(value, safe="").replace("%", "*").replace("~", "*7e")

    groups = "".join(f"~{text(name)}" for name in query.log_groups)
    state = f"~(end~0~start~-3600~timeType~'RELATIVE~unit~'seconds~editorString~{text(query.text)}~source~({groups}))"
    twice = quote(f"?queryDetail={quote(state, safe='*')}", safe="*")
    return console(settings, "logsV2:logs-insights" + twice.replace("%", "$"))


def _header(settings: Settings) -> str:
    queries = " · ".join(f"[{query.name}]({query_link(settings, query)})" for query in log_queries(settings))
    return (
        f"# {settings.prefix}\n"
        "From top to bottom: users, progress, functions, proxy, database, disk, statements. "
        "A red line pages somebody, an orange one makes a ticket. "
        f"What an alarm means and what to do: {_link(settings.alarms.runbook_url)}. "
        f"First: `scannerdb tunnel -e {settings.environment} --direct -- scannerdb doctor`.{_left_out(settings)}\n\n"
        f"Saved questions to the logs: {queries}"
    )


def _left_out(settings: Settings) -> str:
    if settings.database.performance_insights:
        return ""
    return " Left out: database-load, because the instance has no Performance Insights."


def _link(runbook_url: str) -> str:
    return f"[runbook]({runbook_url})" if "://" in runbook_url else f"`{runbook_url}`"


def _text(markdown: str) -> Widget:
    return {"type": "text", "properties": {"markdown": markdown}}


def _alarm_states(title: str, arns: Sequence[str]) -> Widget:
    # Those that ring come first.
    return {"type": "alarm", "properties": {"title": title, "alarms": list(arns), "sortBy": "stateUpdatedTimestamp"}}


def _place(widget: Widget, *, y: int, height: int, x: int = 0, width: int = COLUMNS) -> Widget:
    return {"x": x, "y": y, "width": width, "height": height, **widget}


def _section(settings: Settings, alarms: Mapping[str, Alarm], section: Section, *, y: int) -> Iterator[Widget]:
    yield _place(_text(f"## {section.heading}"), y=y, height=HEADING_ROWS)
    y += HEADING_ROWS
    for row in section.rows:
        width, height = COLUMNS // len(row), 0
        for number, shown in enumerate(row):
            height = TABLE_ROWS if isinstance(shown, LogTable) else GRAPH_ROWS
            yield _place(
                _table(settings, shown) if isinstance(shown, LogTable) else _graph(settings, alarms, shown),
                x=number * width,
                y=y,
                width=width,
                height=height,
            )
        y += height


def _table(settings: Settings, table: LogTable) -> Widget:
    sources = " | ".join(f"SOURCE '{name}'" for name in table.query.log_groups)
    properties = {
        "title": table.title,
        "region": settings.region,
        "view": "table",
        "query": f"{sources} | {table.query.text}",
    }
    return {"type": "log", "properties": properties}


def _graph(settings: Settings, alarms: Mapping[str, Alarm], graph: Graph) -> Widget:
    explained = [alarms[name] for name in graph.alarms]
    metrics = [drawn for alarm in explained for drawn in _watched(settings, alarm)]
    metrics += [_series(settings, each) for each in graph.series]
    thresholds = [_threshold(alarm) for alarm in explained]
    marks = [{"label": mark.label, "value": mark.value, "color": MARK_COLOUR} for mark in graph.marks]
    properties = {
        "title": graph.title,
        "region": settings.region,
        "view": "timeSeries",
        "metrics": metrics,
        "yAxis": {"left": {"showUnits": False}, "right": {"showUnits": False}},
        "annotations": {"horizontal": [*thresholds, *marks]},
    }
    return {"type": "metric", "properties": properties}


def _threshold(alarm: Alarm) -> dict[str, Any]:
    return {
        "label": f"{alarm.name}: {'below' if alarm.comparison.startswith('Less') else 'from'} "
        f"{alarm.threshold:,.10g} {alarm.unit}",
        "value": alarm.threshold,
        "color": COLOURS[alarm.severity],
    }


def _watched(settings: Settings, alarm: Alarm) -> Iterator[list[Any]]:
    """Yield what an alarm compares, as it compares it."""
    if isinstance(alarm.watches, Statistic):
        yield _series(settings, Series(watches=alarm.watches, period_s=alarm.period_s))
        return
    id_ = alarm.name.replace("-", "_")
    yield [{"expression": alarm.watches.formula, "id": id_, "label": alarm.name, "period": alarm.period_s}]
    for id_, watched in alarm.watches.inputs.items():
        hidden = _series(settings, Series(watches=watched, period_s=alarm.period_s))
        hidden[-1].update(id=id_, visible=False)
        yield hidden


def _series(settings: Settings, series: Series) -> list[Any]:
    metric, statistic = series.watches.metric, series.watches.statistic
    dimensions = [part for dimension in metric.dimensions.items() for part in dimension]
    label = _label(settings, metric, statistic)
    options: dict[str, Any] = {"stat": statistic, "period": series.period_s, "label": label}
    if series.on_the_right:
        options |= {"yAxis": "right", "label": f"{label} (right)"}
    return [metric.namespace, metric.name, *dimensions, options]


def _label(settings: Settings, metric: Metric, statistic: str) -> str:
    whose = next((value for name, value in metric.dimensions.items() if name in {"FunctionName", "TopicName"}), "")
    return " ".join(filter(None, [whose.removeprefix(f"{settings.prefix}-"), metric.name, statistic]))
