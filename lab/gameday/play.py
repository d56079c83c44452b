"""Plays one fault from quiet to quiet and records what happened; and a healthy run, in which no alarm may page."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from handlers.contract.alarms.messages import OUTAGE
from lab.gameday.alarm_state import MORE_PERIODS
from lab.gameday.fault import Fault, Scene
from lab.gameday.on_call import Diagnosis, ask_doctor, ask_function
from lab.gameday.watch import Watch

# How long the alarms of an earlier fault may take to end.
QUIET_MINUTES = 90
# How long a fault may take to show, beyond the alarm's evaluation range.
SLACK_MINUTES = 20
# How long an alarm may take to end, beyond its evaluation range.
SETTLE_MINUTES = 5
Report = Callable[[str], None]


@dataclass
class Row:
    """The result of one fault.

    Args:
        fault, title, alarm: the fault, and the alarm that had to ring.
        rang_after: minutes of the alarms' time from the injection to the alarm.
        pages: other paging alarms that rang.
        tickets: other alarms that rang and do not page.
        said: the doctor's findings that named the fault.
        done: the commands that ended it.
        over_after: minutes of the alarms' time from the commands to the alarm's end.
        failures: what did not hold; empty when the fault passed.

    """

    fault: str
    title: str
    alarm: str
    rang_after: int | None = None
    pages: tuple[str, ...] = ()
    tickets: tuple[str, ...] = ()
    said: str = ""
    done: tuple[str, ...] = ()
    over_after: int | None = None
    failures: list[str] = field(default_factory=list)


class Failed(Exception):  # noqa: N818 - ends the play of a fault; its row says why
    """The play of a fault cannot continue."""


def play(fault: Fault, scene: Scene, watch: Watch, report: Report) -> Row:
    """Play one fault; errors are recorded in the row, never raised."""
    row = Row(fault.name, fault.title, fault.alarm)
    with _noted(row):
        _expect_quiet(scene, watch)
        started = watch.minute
        with _ending(fault, scene, watch, row, started), _noted(row):
            report(f"{fault.name}: {fault.title}")
            fault.inject(scene)
            _expect_ringing(fault, scene, watch, row, started)
            report(f"  {fault.alarm} rang after {row.rang_after} min")
            for name in fault.then:
                _wait_for(name, scene, watch)
                report(f"  then {name}, {watch.minute - started} min after the fault")
            diagnosis = _diagnose(fault, scene, row)
            report(f"  doctor: {row.said}")
            row.done = tuple(fault.end(scene, diagnosis))
            for each in row.done:
                report(f"  $ {each}")
            _expect_over(fault, scene, watch, row)
            report(f"  over after {row.over_after} min")
        if undeclared := set(row.pages) - set(fault.follows):
            row.failures.append(f"{', '.join(sorted(undeclared))} paged too, which is no declared consequence")
        paged = fault.alarm in watch.pages or row.pages
        if bool(paged) != (OUTAGE.name in watch.rang_since(started)):
            row.failures.append(f"{OUTAGE.name} and the alarms that page disagree")
    for failure in row.failures:
        report(f"  FAILED: {failure}")
    return row


@contextlib.contextmanager
def _ending(fault: Fault, scene: Scene, watch: Watch, row: Row, started: int) -> Iterator[None]:
    """Clean up after the fault, however it ended, and record which alarms rang."""
    try:
        yield
    finally:
        fault.clean_up(scene)
        rang = watch.rang_since(started) - {fault.alarm, OUTAGE.name}
        row.pages = tuple(sorted(rang & set(watch.pages)))
        row.tickets = tuple(sorted(rang - set(watch.pages)))


def play_healthy(minutes: int, scene: Scene, watch: Watch, report: Report) -> Row:
    """Run the system under load: no paging alarm may ring; the row lists the tickets."""
    row = Row("(healthy run)", f"nothing is wrong for {minutes} min", "none")
    with _noted(row):
        _expect_quiet(scene, watch)
        started = watch.minute
        report(f"a healthy run under load, {minutes} min of the alarms' time")
        watch.wait(lambda: watch.minute >= started + minutes, minutes=minutes, check=scene.background.check)
        rang = watch.rang_since(started)
        row.pages = tuple(sorted(rang & {*watch.pages, OUTAGE.name}))
        row.tickets = tuple(sorted(rang - {*watch.pages, OUTAGE.name}))
        if row.pages:
            row.failures.append(f"{', '.join(row.pages)} paged")
    report(f"  rang: {', '.join((*row.pages, *row.tickets)) or 'nothing'}")
    return row


@contextlib.contextmanager
def _noted(row: Row) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - recorded in the row; the next fault is played
        row.failures.append(str(error).strip() or type(error).__name__)


def _expect_quiet(scene: Scene, watch: Watch) -> None:
    if not watch.wait(lambda: not watch.ringing(), minutes=QUIET_MINUTES, check=scene.background.check):
        raise Failed(f"not quiet before: {', '.join(sorted(watch.ringing()))}")


def _range_minutes(watch: Watch, alarm: str) -> int:
    """Return the minutes of an alarm's evaluation range."""
    described = watch.alarms[alarm]
    return described.period_s * (described.evaluation_periods + MORE_PERIODS) // 60


def _wait_for(alarm: str, scene: Scene, watch: Watch) -> None:
    limit = _range_minutes(watch, alarm) + SLACK_MINUTES
    if not watch.wait(lambda: alarm in watch.ringing(), minutes=limit, check=scene.background.check):
        raise Failed(f"{alarm} did not ring in {limit} min")


def _expect_ringing(fault: Fault, scene: Scene, watch: Watch, row: Row, started: int) -> None:
    _wait_for(fault.alarm, scene, watch)
    row.rang_after = (
        next(
            change.minute
            for change in watch.changes
            if change.alarm == fault.alarm and change.state == "ALARM" and change.minute > started
        )
        - started
    )


def _diagnose(fault: Fault, scene: Scene, row: Row) -> Diagnosis:
    """Ask the command line, and the function where the fault says so; both must name the fault."""
    diagnosis = ask_doctor(scene.system, fault.alarm)
    named = diagnosis.told(fault.checks, fault.states)
    row.said = "; ".join(f"{each['check']} {each['state']}: {each['value']}" for each in named)
    if not named:
        seen = "; ".join(f"{each['check']} {each['state']}" for each in diagnosis.findings)
        raise Failed(f"doctor did not name it by {', '.join(fault.checks)}; it said {seen}")
    if fault.asks_function:
        if not scene.system.has("doctor"):
            raise Failed("the function doctor is not deployed")
        if not ask_function(scene.system, fault.alarm).told(fault.checks, fault.states):
            raise Failed(f"the function doctor did not name it by {', '.join(fault.checks)}")
        row.said += " (the function too)"
    return diagnosis


def _expect_over(fault: Fault, scene: Scene, watch: Watch, row: Row) -> None:
    ended = watch.minute
    # Each ringing alarm may last as long as its evaluation range.
    limit = SETTLE_MINUTES + max(
        _range_minutes(watch, name) for name in watch.ringing() | {fault.alarm} if name in watch.alarms
    )
    if not watch.wait(lambda: not watch.ringing(), minutes=limit, check=scene.background.check):
        raise Failed(f"{', '.join(sorted(watch.ringing()))} still rang {limit} min later")
    row.over_after = watch.minute - ended
    if watch.wait(lambda: bool(watch.ringing()), minutes=fault.steady_minutes, check=scene.background.check):
        came_back = ", ".join(sorted(watch.ringing()))
        raise Failed(f"{came_back} was over after {row.over_after} min and rang again {watch.minute - ended} min later")
