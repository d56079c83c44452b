"""Watches a system as CloudWatch does: collects data, evaluates every alarm once a minute of the alarms' time."""

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import psycopg2

from handlers.contract import metrics
from handlers.contract.alarms.messages import OUTAGE
from handlers.contract.alarms.metrics import database_metric
from handlers.contract.alarms.model import DAY_S, HOUR_S, Alarm
from lab.gameday.alarm_state import State, composite, evaluate, is_evaluated
from lab.gameday.clock import Clock
from lab.gameday.metric_store import Datum, MetricStore
from lab.gameday.system import System
from stacks.alarms import facts

Source = Callable[[], Iterator[Datum]]
# Metrics that are published here; a namespace alone stands for all of its metrics.
PUBLISHED = (
    metrics.NAMESPACE,
    "AWS/Lambda",
    "AWS/ApiGateway",
    "AWS/Scheduler TargetErrorCount",
    "AWS/RDS DatabaseConnections",
    "AWS/RDS FreeStorageSpace",
)
_MEASURE = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint
"""


@dataclass(frozen=True)
class StateChange:
    """One change of an alarm's state."""

    minute: int
    alarm: str
    state: State


class Instance:
    """Stand-in for AWS/RDS: once a minute while the server runs, its client sessions and the free space of its disk."""

    def __init__(self, system: System, clock: Clock) -> None:
        self._system, self._clock = system, clock
        deployment = facts(system.settings)
        self._connections = deployment.complete(database_metric("DatabaseConnections"))
        self._free = deployment.complete(database_metric("FreeStorageSpace"))
        self._storage_bytes = deployment.storage_bytes
        self._connection: psycopg2.extensions.connection | None = None

    def data(self) -> Iterator[Datum]:
        """Yield both; nothing while the server is down."""
        try:
            # As superuser: its reserved connections stay free in a flood, as RDS's own do.
            if self._connection is None or self._connection.closed:
                self._connection = self._system.connect(user="postgres", application="monitoring")
            with self._connection.cursor() as cursor:
                cursor.execute(_MEASURE)
                ((sessions, used_bytes),) = cursor.fetchall()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self._connection = None
            return
        now_s = self._clock.now_s()
        yield Datum.of(self._connections, float(sessions), at_s=now_s)
        yield Datum.of(self._free, float(self._storage_bytes - used_bytes), at_s=now_s)


class Watch:
    """Evaluates the alarms of a catalogue over a store, and keeps the history of their states."""

    def __init__(
        self, alarms: Collection[Alarm], store: MetricStore, clock: Clock, sources: Collection[Source]
    ) -> None:
        self.alarms = {alarm.name: alarm for alarm in alarms}
        self.evaluated = tuple(alarm for alarm in alarms if is_evaluated(alarm))
        self.pages = tuple(alarm.name for alarm in self.evaluated if alarm.severity == "page")
        self.changes: list[StateChange] = []
        self.minute = clock.minutes()
        self.store = store
        self._clock, self._sources = clock, sources
        self._states: dict[str, State] = dict.fromkeys([alarm.name for alarm in self.evaluated], "INSUFFICIENT_DATA")
        self._states[OUTAGE.name] = "OK"
        self._ticked = threading.Condition()

    def run(self, ended: threading.Event) -> None:
        """Tick once a minute of the alarms' time until the event is set."""
        while not ended.is_set():
            self._clock.sleep_until(self.minute + 1)
            self.tick(self.minute + 1)

    def tick(self, minute: int) -> None:
        """Collect new data and evaluate every alarm."""
        for source in self._sources:
            for datum in source():
                self.store.add(datum)
        for alarm in self.evaluated:
            # "Alarm evaluation" in CloudWatch's guide: alarms over more than a day are evaluated once an hour.
            if alarm.period_s * alarm.evaluation_periods <= DAY_S or minute % (HOUR_S // 60) == 0:
                state = evaluate(alarm, self.store, now_s=60 * minute, state=self._states[alarm.name])
                self._set(minute, alarm.name, state)
        self._set(minute, OUTAGE.name, composite(self._states, self.pages))
        with self._ticked:
            self.minute = minute
            self._ticked.notify_all()

    @property
    def states(self) -> dict[str, State]:
        """The state of each alarm that is evaluated, and of the composite one."""
        return dict(self._states)

    def ringing(self) -> set[str]:
        """Return the alarms that are in ALARM now."""
        return {name for name, state in self._states.items() if state == "ALARM"}

    def rang_since(self, minute: int) -> set[str]:
        """Return the alarms that have been in ALARM at any time since a minute."""
        return self.ringing() | {
            change.alarm for change in self.changes if change.state == "ALARM" and change.minute >= minute
        }

    def wait(self, until: Callable[[], bool], *, minutes: int, check: Callable[[], None]) -> bool:
        """Wait until a condition holds, for at most `minutes` of the alarms' time; return whether it does."""
        limit = self.minute + minutes
        while True:
            check()
            if until():
                return True
            if self.minute >= limit:
                return False
            self.next_tick()

    def next_tick(self) -> None:
        """Wait for the next evaluation."""
        with self._ticked:
            self._ticked.wait(timeout=60)

    def _set(self, minute: int, alarm: str, state: State) -> None:
        if self._states[alarm] != state:
            self._states[alarm] = state
            self.changes.append(StateChange(minute, alarm, state))


def is_published(alarm: Alarm) -> bool:
    """Return whether all metrics of an alarm are published here."""
    return all(
        metric.namespace.partition("/")[0] in PUBLISHED
        or metric.namespace in PUBLISHED
        or f"{metric.namespace} {metric.name}" in PUBLISHED
        for metric in alarm.metrics()
    )
