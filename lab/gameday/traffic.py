"""The load of a game day: the schedule's refreshes, callers of the status API, and the scanner's writes."""

import contextlib
import random
import threading
import time
from collections.abc import Iterator

import botocore.exceptions

from handlers.contract.alarms.metrics import schedule_metric
from lab.background import Background
from lab.emulator.server import EmulatorError
from lab.gameday.clock import TICK_S, Clock
from lab.gameday.metric_store import Datum, MetricStore
from lab.gameday.system import LOAD_JOB, LOAD_OBJECTS, System
from lab.load import WriteLoad
from stacks.alarms import facts

CALLERS = 2
CALLER_PAUSE_S = 0.3
WRITERS = 2
WRITER_PAUSE_S = 0.01
# A hanging refresh lasts minutes of the alarms' time; the limit keeps hanging refreshes from piling up.
REFRESHES_AT_ONCE = 2
CLIENT_ERROR, SERVER_ERROR = 400, 500


class Schedule:
    """Invokes `refresh` every minute of the alarms' time through the Lambda API, as EventBridge Scheduler does.

    Stand-in for AWS/Scheduler: an error of the Lambda API counts as `TargetErrorCount`, an error of the function does
    not.
    """

    def __init__(self, system: System, clock: Clock, store: MetricStore, background: Background) -> None:
        self.is_enabled = True
        self._system, self._clock, self._store, self._background = system, clock, store, background
        self._free = threading.Semaphore(REFRESHES_AT_ONCE)

    def run(self) -> None:
        """Invoke until the background ends."""
        minute = self._clock.minutes()
        while not self._background.ended.is_set():
            minute = max(minute, self._clock.minutes()) + 1
            self._clock.sleep_until(minute)
            if self.is_enabled and self._free.acquire(blocking=False):
                self._background.start(self._invoke)

    def _invoke(self) -> None:
        try:
            self._system.invoke("refresh", {"source": "schedule"})
        except EmulatorError:
            pass  # the function's own error, which is in its log
        except botocore.exceptions.ClientError:
            metric = facts(self._system.settings).complete(schedule_metric("TargetErrorCount"))
            self._store.add(Datum.of(metric, 1, at_s=self._clock.now_s()))
        finally:
            self._free.release()


class Caller:
    """Calls the status API, one request after the other.

    Stand-in for AWS/ApiGateway: counts status codes and latency of the real HTTP responses.
    """

    def __init__(
        self, system: System, clock: Clock, store: MetricStore, background: Background, *, api_id: str, seed: int
    ) -> None:
        self._system, self._clock, self._store, self._background = system, clock, store, background
        self._dimensions = {"ApiId": api_id}
        self._chance = random.Random(seed)  # noqa: S311 - the same requests in every run

    def run(self) -> None:
        """Call until the background ends."""
        while not self._background.ended.wait(CALLER_PAUSE_S):
            started_s = time.monotonic()
            try:
                status_code = self._system.get(self._path()).status_code
            except OSError:
                status_code = SERVER_ERROR  # no answer in 30 s, the service's integration timeout
            latency_ms = (time.monotonic() - started_s) * 1000
            values = {
                "Count": 1,
                "4xx": CLIENT_ERROR <= status_code < SERVER_ERROR,
                "5xx": status_code >= SERVER_ERROR,
                "Latency": latency_ms,
            }
            for name, value in values.items():
                self._store.add(
                    Datum(
                        namespace="AWS/ApiGateway",
                        name=name,
                        dimensions=self._dimensions,
                        value=float(value),
                        at_s=self._clock.now_s(),
                    )
                )

    def _path(self) -> str:
        job = self._chance.choice([str(job.job_id) for job in self._system.jobs] + [LOAD_JOB])
        return self._chance.choice([*[f"/jobs/{job}"] * 6, f"/jobs/{job}?real_time=true", "/jobs?state=active"])


@contextlib.contextmanager
def traffic(
    system: System, clock: Clock, store: MetricStore, background: Background, *, api_id: str
) -> Iterator[Schedule]:
    """Run the load until the end of the block; yield the schedule, which a fault may disable."""
    schedule = Schedule(system, clock, store, background)
    background.start(schedule.run)
    for seed in range(CALLERS):
        background.start(Caller(system, clock, store, background, api_id=api_id, seed=seed).run)
    load = WriteLoad(
        lambda: system.connect(user="scanner_app", application="scanner"),
        LOAD_JOB,
        LOAD_OBJECTS,
        writers=WRITERS,
        pause_s=WRITER_PAUSE_S,
        survives=True,
    )
    with load:
        time.sleep(TICK_S)
        yield schedule
        background.ended.set()
    if load.errors:
        raise load.errors[0]
