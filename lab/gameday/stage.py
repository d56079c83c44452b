"""Starts a system under load, watched by every alarm of the catalogue."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from handlers.contract.alarms.metrics import DENIED_STATEMENTS, SLOW_QUERIES
from handlers.contract.events import RefreshAction
from lab.background import Background
from lab.gameday.clock import EXPLANATION, Clock
from lab.gameday.database_log import DatabaseLog
from lab.gameday.fault import Scene
from lab.gameday.function_logs import FunctionLogs
from lab.gameday.metric_store import MetricStore
from lab.gameday.system import System, running_system
from lab.gameday.traffic import traffic
from lab.gameday.watch import Instance, Watch
from stacks.alarms import catalogue, facts

API_ID = "gameday"


@contextlib.contextmanager
def game_day(directory: Path, *, report: Callable[[str], None]) -> Iterator[tuple[Scene, Watch]]:
    """Start everything; stop it at the end of the block.

    Raises:
        DeploymentError, EmbeddedPostgresError, EmulatorError: it could not be started.

    """
    with running_system(directory, report=report) as system, Background() as background:
        report(EXPLANATION)
        clock, store = Clock(), MetricStore()
        watch = _watch(system, clock, store)
        with traffic(system, clock, store, background, api_id=API_ID) as schedule:
            background.start(functools.partial(watch.run, background.ended))
            # The nightly verification has run before, as in a system that is not new.
            system.invoke("refresh", {"action": RefreshAction.VERIFY})
            yield Scene(system, schedule, background), watch


def _watch(system: System, clock: Clock, store: MetricStore) -> Watch:
    settings, deployment = system.settings, facts(system.settings)
    slow, denied = deployment.complete(SLOW_QUERIES), deployment.complete(DENIED_STATEMENTS)
    log = DatabaseLog(system.postgres.log_file, clock, slow=slow, denied=denied)
    sources = (FunctionLogs(system.deployment.logs, clock).data, log.data, Instance(system, clock).data)
    return Watch(catalogue(settings, api_id=API_ID), store, clock, sources)
