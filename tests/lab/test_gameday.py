"""The game day itself: a quick fault from quiet to quiet, and that a row fails when what it claims does not hold."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from handlers.diagnosis import checks_of
from lab.gameday.alarm_state import is_evaluated
from lab.gameday.clock import Clock
from lab.gameday.commands import aws
from lab.gameday.fault import Fault
from lab.gameday.faults import FAULTS
from lab.gameday.faults.of_data import TableLost
from lab.gameday.faults.of_schema import RightLost
from lab.gameday.metric_store import MetricStore
from lab.gameday.on_call import Diagnosis
from lab.gameday.play import Row, play
from lab.gameday.report import markdown
from lab.gameday.stage import game_day
from lab.gameday.watch import Watch, is_published
from stacks import ROOT
from stacks.alarms import catalogue
from stacks.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.gameday.fault import Scene

    Stage = tuple[Scene, Watch]


SETTINGS = load_settings(ROOT / "environments" / "local.toml", {"SCANNER__SCHEDULE__REFRESH_MINUTES": "1"})
ALARMS = {alarm.name: alarm for alarm in catalogue(SETTINGS, api_id="x")}
FOUND = (
    {"check": "age", "state": "critical", "value": "", "why": "", "next": "scannerdb refresh"},
    {"check": "age", "state": "warning", "value": "", "why": "", "next": "scannerdb refresh"},
    {"check": "age", "state": "unknown", "value": "", "why": "", "next": ""},
    {"check": "drift", "state": "ok", "value": "", "why": "", "next": ""},
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("make", FAULTS)
def test_each_fault_rings_an_alarm_that_is_watched_here_and_may_page_only_for_a_reason(make: type[Fault]) -> None:
    fault = make()
    assert is_evaluated(ALARMS[fault.alarm])
    assert is_published(ALARMS[fault.alarm])
    assert fault.checks
    assert all(ALARMS[name].severity == "page" and reason for name, reason in fault.follows.items())
    assert fault.alarm not in fault.follows


def test_twelve_faults_have_names_of_their_own() -> None:
    assert len({make().name for make in FAULTS}) == len(FAULTS) >= 12


def test_what_nothing_here_publishes_is_not_called_watched() -> None:
    assert not is_published(ALARMS["database-cpu"])
    assert not is_published(ALARMS["schedule-dropping"])
    assert is_published(ALARMS["database-connections"])
    assert is_published(ALARMS["slow-queries"])


def test_only_a_warning_or_worse_names_a_fault() -> None:
    diagnosis = Diagnosis("critical", FOUND)
    assert diagnosis.told(("age", "drift"), Fault.states) == list(FOUND[:2])
    assert diagnosis.told(("drift",), Fault.states) == []


def test_the_doctor_knows_the_checks_that_are_to_name_a_fault() -> None:
    for fault in (make() for make in FAULTS):
        assert set(fault.checks) <= {*checks_of(fault.alarm), "elsewhere"}, fault.name


def test_the_command_line_of_aws_must_be_one_that_version_2_takes() -> None:
    with pytest.raises(SystemExit, match="raw-in-base64-out"):
        aws(["lambda", "invoke", "--function-name", "f", "--cli-binary-format", "base64", "--payload", "{}", "out"])
    with pytest.raises(SystemExit, match="only `aws lambda invoke`"):
        aws(["s3", "ls"])


def test_the_report_says_which_row_failed_and_which_alarms_were_not_exercised() -> None:
    watch = Watch(ALARMS.values(), MetricStore(), Clock(), [])
    text = markdown([Row("one", "a title", "slow-queries", rang_after=4, failures=["it did not ring"])], watch)
    assert "| one | slow-queries | 4 min | none | none | - | - | - | FAILED |" in text
    assert "it did not ring" in text
    not_exercised = next(line for line in text.splitlines() if line.startswith("- Not exercised here"))
    assert "database-cpu," in not_exercised
    assert "slow-queries" not in not_exercised
    assert "proxy-pinned" in next(line for line in text.splitlines() if line.startswith("- Not evaluated here"))


@pytest.mark.parametrize(("argument", "said"), [("--only=nothing", "invalid choice"), ("--list", "missing-index")])
def test_the_command_line_knows_the_faults(argument: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.gameday", argument], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with game_day(tmp_path_factory.mktemp("gameday"), report=print) as stage:
        yield stage


def test_a_lost_right_is_told_named_and_given_back_by_the_doctor_s_own_command(stage: Stage) -> None:
    scene, watch = stage
    row = play(RightLost(), scene, watch, print)
    assert row.failures == []
    assert row.rang_after is not None
    assert row.over_after is not None
    assert row.said.startswith("grants critical: progress_reader lacks SELECT")
    assert row.done[0] == "scannerdb tunnel -e local --direct -- scannerdb migrate"


def test_a_lost_table_comes_back_from_a_point_in_time_row_by_row(stage: Stage) -> None:
    scene, watch = stage
    row = play(TableLost(), scene, watch, print)
    assert row.failures == []
    assert row.said.startswith("progress-drift critical: ")
    assert "rows copied back" in row.done[0]


def test_an_alarm_with_a_wrong_threshold_fails_the_row_of_its_fault(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, watch = stage
    deaf = tuple(replace(each, threshold=1e6) if each.name == RightLost.alarm else each for each in watch.evaluated)
    monkeypatch.setattr(watch, "evaluated", deaf)
    monkeypatch.setattr("lab.gameday.play.SLACK_MINUTES", 0)
    row = play(RightLost(), scene, watch, print)
    assert row.failures == ["denied-statements did not ring in 15 min"]
    assert row.rang_after is None


def test_a_page_that_a_fault_does_not_declare_fails_its_row(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, watch = stage
    monkeypatch.setattr(RightLost, "follows", {})
    row = play(RightLost(), scene, watch, print)
    assert row.failures == ["api-errors paged too, which is no declared consequence"]


def test_a_fault_that_the_doctor_does_not_name_fails_its_row(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, watch = stage
    monkeypatch.setattr(RightLost, "checks", ("migrations",))
    row = play(RightLost(), scene, watch, print)
    (failure,) = row.failures
    assert failure.startswith("doctor did not name it by migrations; it said ")
