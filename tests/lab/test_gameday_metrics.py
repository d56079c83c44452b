"""Statistics, metric math, and metrics from logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from handlers.contract.alarms.model import Metric, Statistic
from lab.gameday.clock import SPEED, Clock, real_limits
from lab.gameday.database_log import DatabaseLog
from lab.gameday.function_logs import FunctionLogs, Tail, emf_data
from lab.gameday.metric_math import evaluate
from lab.gameday.metric_store import Datum, MetricStore, statistic

if TYPE_CHECKING:
    from pathlib import Path

HOURS_LEFT = "IF(RATE(free) < 0, free / (-3600 * RATE(free)), 8760)"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Sum", 10), ("Average", 2.5), ("Minimum", 1), ("Maximum", 4), ("SampleCount", 4), ("p50", 2), ("p99", 4)],
)
def test_each_statistic_is_of_the_values_of_a_period(name: str, expected: float) -> None:
    assert statistic([3, 1, 4, 2], name) == expected
    assert statistic([], name) is None


@pytest.mark.parametrize(("name", "expected"), [("p90", 90), ("p99", 99), ("p99.9", 100), ("p1", 1), ("p0.1", 1)])
def test_a_percentile_is_the_nearest_rank_of_a_hundred(name: str, expected: float) -> None:
    assert statistic(list(range(100, 0, -1)), name) == expected


def test_an_unknown_statistic_is_refused() -> None:
    with pytest.raises(ValueError, match="statistic 'tm90' is not known here"):
        statistic([1], "tm90")


def test_a_period_holds_its_start_and_not_its_end_and_other_dimensions_are_another_metric() -> None:
    store = MetricStore()
    metric = Metric(namespace="N", name="M", dimensions={"a": "1"})
    for at_s, value in ((59.9, 1), (60, 2), (119.9, 4), (120, 8)):
        store.add(Datum(namespace="N", name="M", dimensions={"a": "1"}, value=value, at_s=at_s))
    store.add(Datum(namespace="N", name="M", value=16, at_s=60))
    watched = Statistic(metric=metric, statistic="Sum")
    assert store.series(watched, period_s=60, periods=3, now_s=180) == [1, 6, 8]
    assert store.has(metric)
    assert not store.has(Metric(namespace="N", name="M", dimensions={"a": "2"}))


@pytest.mark.parametrize(
    ("formula", "inputs", "expected"),
    [
        ("100 * c / 200", {"c": [170, None, 20]}, [85, None, 10]),
        ("FILL(a, 0) + FILL(b, 0)", {"a": [1, None], "b": [None, None]}, [1, 0]),
        ("a / b", {"a": [1, 1], "b": [0, 2]}, [None, 0.5]),
        ("RATE(a)", {"a": [0, 60, None, 240]}, [None, 1, None, 1.5]),
        ("-a + 1", {"a": [3]}, [-2]),
        ("IF(a > 1, a, 0)", {"a": [1, 2, None]}, [0, 2, None]),
        ("IF(1, a, 0)", {"a": [5]}, [5]),
        ("7", {"a": [None, None]}, [7, 7]),
    ],
)
def test_metric_math(formula: str, inputs: dict[str, list[float | None]], expected: list[float | None]) -> None:
    assert evaluate(formula, inputs, period_s=60) == expected


def test_the_hours_until_the_disk_is_full_are_a_year_while_it_grows() -> None:
    free = [100.0, 90.0, 95.0, None, 75.0]
    assert evaluate(HOURS_LEFT, {"free": free}, period_s=3600) == [None, 9, 8760, None, 7.5]


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "a.b", "RATE(1)", "FILL(a, a)", "b", "[a]", "a ** a", "a < a < a", "SUM(a)", "'x'"]
)
def test_what_is_not_known_is_refused_and_never_run(formula: str) -> None:
    with pytest.raises(ValueError, match=r"is not known here|must be a"):
        evaluate(formula, {"a": [1]}, period_s=60)


def emf(clock: Clock, **values: float | list[float]) -> str:
    return json.dumps(
        {
            "_aws": {
                "Timestamp": int(clock._started_s * 1000) + 2000,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "ScannerDatabase",
                        "Dimensions": [["service"]],
                        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
                    }
                ],
            },
            "service": "scanner-database-local-refresh",
            **values,
        }
    )


def test_an_emf_line_is_its_metrics_with_namespace_dimensions_and_time() -> None:
    clock = Clock()
    first, second, third = emf_data(emf(clock, Jobs=[20], Objects=[1, 2]), clock)
    assert (first.namespace, first.name, first.value) == ("ScannerDatabase", "Jobs", 20)
    assert first.dimensions == {"service": "scanner-database-local-refresh"}
    assert first.at_s == pytest.approx(2 * SPEED, abs=0.1)
    assert [(each.name, each.value) for each in (second, third)] == [("Objects", 1), ("Objects", 2)]


def test_what_measures_time_on_the_schedule_counts_sixtyfold_and_nothing_else_does() -> None:
    clock = Clock()
    values = {each.name: each.value for each in emf_data(emf(clock, ProgressLag=1.0, ProgressBacklog=7), clock)}
    assert values == {"ProgressLag": SPEED, "ProgressBacklog": 7}
    assert real_limits({"lock_wait_s": 60, "backlog_rows": 9}) == {"lock_wait_s": 60 / SPEED, "backlog_rows": 9}


@pytest.mark.parametrize("line", ["START RequestId: 1 Version: $LATEST", "{", "{}", '{"message": "_aws"}', ""])
def test_other_lines_are_no_metrics(line: str) -> None:
    assert list(emf_data(line, Clock())) == []


def test_a_tail_returns_each_line_once_and_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.lines() == []
    path.write_text("one\ntw")
    assert tail.lines() == ["one"]
    path.write_text("one\ntwo\n\nthree\n")
    assert tail.lines() == ["two", "", "three"]


def test_lambda_s_counts_come_from_the_lines_of_each_invocation(tmp_path: Path) -> None:
    report = "REPORT RequestId: 1\tDuration: 12.50 ms\tBilled Duration: 13 ms"
    lines = (
        *("START RequestId: 1 Version: $LATEST", '{"level":"ERROR","message":"[ERROR] not ours"}', report),
        *("START RequestId: 2 Version: $LATEST", "[ERROR] DatabaseUnavailableError: gone", report),
        *("START RequestId: 3 Version: $LATEST", "2026-11-24T00:00:00Z 3 Task timed out after 10.00 seconds", report),
    )
    (tmp_path / "scanner-database-local-refresh-2.log").write_text("\n".join(lines) + "\n")
    (tmp_path / "emulator.log").write_text(report)
    data = list(FunctionLogs(tmp_path, Clock()).data())
    assert {each.dimensions["FunctionName"] for each in data} == {"scanner-database-local-refresh"}
    assert [each.value for each in data if each.name == "Errors"] == [0, 1, 1]
    assert [each.value for each in data if each.name == "Duration"] == [12.5] * 3


def test_the_database_s_log_becomes_metrics_by_the_stack_s_own_patterns(tmp_path: Path) -> None:
    path = tmp_path / "postgresql.log"
    path.write_text("2026-04-01 20:17:33 UTC:127.0.0.1(1):a@b:[1]:LOG:  duration: 9.000 ms  statement: before\n")
    slow, denied = Metric(namespace="S", name="Slow"), Metric(namespace="S", name="Denied")
    log = DatabaseLog(path, Clock(), slow=slow, denied=denied)
    with path.open("a") as file:
        start = "2026-04-01 20:17:33 UTC:127.0.0.1(1):progress_reader@scanner_db:[1]:"
        file.write(f"{start}LOG:  duration: 1454.486 ms  statement: SELECT 1,\n\t2\n")
        file.write(f"{start}LOG:  duration: 1454.400 ms  plan:\n")
        file.write(f"{start}ERROR:  cannot execute UPDATE in a read-only transaction\n")
        file.write(f"{start}ERROR:  permission denied for table jobs\n")
    assert [(each.name, each.value) for each in log.data()] == [("Slow", 1454.486), ("Denied", 1), ("Denied", 1)]
    assert list(log.data()) == []
    with path.open("a") as file:
        file.write(f"{start}LOG:  connection received\n")
    assert [(each.name, each.value) for each in log.data()] == [("Denied", 0)]
