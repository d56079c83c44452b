"""The dashboard's JSON: places a row of numbers, and the sections, on a grid of 24 columns.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from handlers.contract.alarms.model import Alarm
from stacks.alarms import catalogue, facts
from stacks.alarms.descriptions import console
from stacks.monitoring.dashboard_graphs import Widget, graph_widget, number_widget
from stacks.monitoring.log_queries import LogQuery, log_queries
from stacks.monitoring.widgets import GLANCE, sections
from stacks.monitoring.widgets.model import Graph, LogTable, Section
from stacks.settings import Settings

COLUMNS = 24
HEADING_ROWS = 1
HEADER_ROWS = 4
PAGE_ROWS = 3
TICKET_ROWS = 5
GRAPH_ROWS = 6
TABLE_ROWS = 8
NUMBER_ROWS = 3


def body(settings: Settings, *, api_id: str, page_arns: Sequence[str], ticket_arns: Sequence[str]) -> Widget:
    """Return the whole dashboard.

    Args:
        settings: of the deployment.
        api_id: of the status API.
        page_arns: of the alarms that page.
        ticket_arns: of those that make a ticket.

    """
    deployment = facts(settings, api_id=api_id)
    alarms = {alarm.name: alarm for alarm in catalogue(settings, api_id=api_id)}
    widgets: list[Widget] = [*_glance(settings, alarms)]
    for widget, height in (
        (_text(_header(settings)), HEADER_ROWS),
        (_alarm_states("What pages the on-call", page_arns), PAGE_ROWS),
        (_alarm_states("What makes a ticket", ticket_arns), TICKET_ROWS),
    ):
        widgets.append(_place(widget, y=widgets[-1]["y"] + widgets[-1]["height"], height=height))
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
        "A red line pages the on-call, and its graph is wide; an orange one makes a ticket. "
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
        x, height = 0, 0
        for shown, width in zip(row, _widths([_weight(alarms, shown) for shown in row]), strict=True):
            height = TABLE_ROWS if isinstance(shown, LogTable) else GRAPH_ROWS
            widget = _table(settings, shown) if isinstance(shown, LogTable) else graph_widget(settings, alarms, shown)
            yield _place(widget, x=x, y=y, width=width, height=height)
            x += width
        y += height


def _weight(alarms: Mapping[str, Alarm], shown: Graph | LogTable) -> int:
    """Return how many parts of its row a widget takes."""
    names = shown.alarms if isinstance(shown, Graph) else ()
    return 2 if any(alarms[name].severity == "page" for name in names) else 1


def _widths(weights: Sequence[int]) -> list[int]:
    """Return the columns of the widgets of a row, which fill it."""
    edges = [round(COLUMNS * sum(weights[:count]) / sum(weights)) for count in range(len(weights) + 1)]
    return [right - left for left, right in itertools.pairwise(edges)]


def _glance(settings: Settings, alarms: Mapping[str, Alarm]) -> Iterator[Widget]:
    shown = [number for number in GLANCE if number.alarm in alarms]
    x = 0
    for number, width in zip(shown, _widths([1] * len(shown)), strict=True):
        widget = number_widget(settings, alarms[number.alarm], number)
        yield _place(widget, x=x, y=0, width=width, height=NUMBER_ROWS)
        x += width


def _table(settings: Settings, table: LogTable) -> Widget:
    sources = " | ".join(f"SOURCE '{name}'" for name in table.query.log_groups)
    properties = {
        "title": table.title,
        "region": settings.region,
        "view": "table",
        "query": f"{sources} | {table.query.text}",
    }
    return {"type": "log", "properties": properties}
