"""What the dashboard shows, as data: sections in the order in which the on-call thinks, from users down to the disk.

A graph names the alarms that it explains. `dashboard_body.py` draws what they compare, with their statistic, period and
threshold. An alarm that no graph names gets one of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from handlers.contract.alarms.deployment import Deployment
from handlers.contract.alarms.model import Alarm, Statistic
from stacks.monitoring.widgets import database, service
from stacks.monitoring.widgets.model import Graph, LogTable, Number, Section
from stacks.monitoring.widgets.units import drawn_unit
from stacks.settings import Settings

GRAPHS_IN_A_ROW = 4
# Above all else: is it fresh, does it answer, and what runs out.
GLANCE = (
    Number(title="Age of progress, s", alarm="progress-lag", label="at the last refresh"),
    Number(title="5xx in 5 minutes", alarm="api-errors", label="answers"),
    Number(title="Connections in use, %", alarm="database-connections", label="of max_connections"),
    Number(title="Free disk, GiB", alarm="storage-low", label="least of a minute"),
    Number(title="Longest wait for a lock, s", alarm="lock-waits", label="at the last refresh"),
)


def sections(settings: Settings, deployment: Deployment, alarms: Sequence[Alarm]) -> Iterator[Section]:
    """Yield the sections from top to bottom."""
    planned = (
        service.users(deployment),
        service.progress(deployment),
        service.functions(),
        database.proxy(deployment),
        database.instance(),
        database.cluster() if settings.database.is_cluster else database.storage(),
        database.statements(settings),
        service.messages(),
    )
    deployed = {alarm.name for alarm in alarms}
    shown = [_of(section, deployment, deployed) for section in planned]
    drawn = {name for section in shown for row in section.rows for widget in row for name in _alarms(widget)}
    for section in shown:
        names = {record.name for record in section.records} - drawn
        graphs = tuple(_own_graph(alarm) for alarm in alarms if alarm.name in names)
        rows = tuple(graphs[start : start + GRAPHS_IN_A_ROW] for start in range(0, len(graphs), GRAPHS_IN_A_ROW))
        yield replace(section, rows=section.rows + rows)


def _of(section: Section, deployment: Deployment, deployed: set[str]) -> Section:
    """Complete the graphs for one deployment. Those of alarms that it does not have are left out."""
    rows = (
        tuple(
            deployment.complete(widget) if isinstance(widget, Graph) else widget
            for widget in row
            if deployed.issuperset(_alarms(widget))
        )
        for row in section.rows
    )
    return replace(section, rows=tuple(rows))


def _alarms(widget: Graph | LogTable) -> tuple[str, ...]:
    return widget.alarms if isinstance(widget, Graph) else ()


def _own_graph(alarm: Alarm) -> Graph:
    value = alarm.watches.metric.name if isinstance(alarm.watches, Statistic) else alarm.watches.label
    return Graph(title=f"{value[0].upper()}{value[1:]}, {drawn_unit(alarm.unit).name}", alarms=(alarm.name,))
