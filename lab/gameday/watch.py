"""Watches a system as CloudWatch does: collects data, evaluates every alarm once a minute of the alarms' time."""

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import psycopg2

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
    "ScannerDatabase",
    "AWS/Lambda",
    "AWS/ApiGateway",
    "AWS/Scheduler TargetErrorCount",
    "AWS/RDS DatabaseConnections",
)


@dataclass(frozen=True)
class StateChange:
    """One change of an alarm's state."""

    minute: int
    alarm: str
    state: State


class Connections:
    """Stand-in for AWS/RDS DatabaseConnections: counts client sessions once a minute while the server runs."""

    def __init__(self, system: System, clock: Clock) -> None:
        self._system, self._clock = system, clock
        self._metric = database_metric("DatabaseConnections").of(facts(system.settings))
        self._connection: psycopg2.extensions.connection | None = None

    def data(self) -> Iterator[Datum]:
        """Yield the number of sessions; nothing while the server is down."""
        try:
            # As superuser: its reserved connections stay free in a flood, as RDS's own do.
            if self._connection is None or self._connection.closed:
                self._connection = self._system.connect(user="postgres", application="monitoring")
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
                ((count,),) = cursor.fetchall()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self._connection = None
            return
        yield Datum.of(self._metric, float(count), at_s=self._clock.now_s())


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
        self._store, self._clock, self._sources = store, clock, sources
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
                self._store.add(datum)
        for alarm in self.evaluated:
            # "Alarm evaluation" in CloudWatch's guide: alarms over more than a day are evaluated once an hour.
            if alarm.period_s * alarm.evaluation_periods <= DAY_S or minute % (HOUR_S // 60) == 0:
                state = evaluate(alarm, self._store, now_s=60 * minute, state=self._states[alarm.name])
                self._set(minute, alarm.name, state)
        self._set(minute, OUTAGE.name, composite(self._states, self.pages))
        with self._ticked:
            self.minute = minute
            self._ticked.notify_all()

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
