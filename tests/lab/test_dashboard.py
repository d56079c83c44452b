"""The picture of the dashboard: drawn from its own JSON, with what a game day has measured."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from lab.dashboard import RECORDED, Recording, chosen, dashboard, draw, lines
from lab.gameday.metric_store import Datum, MetricStore

if TYPE_CHECKING:
    from pathlib import Path

IDENTIFIER = {"DBInstanceIdentifier": "scanner-database-local"}


def instance(name: str, value: float, minute: int) -> Datum:
    return Datum(namespace="AWS/RDS", name=name, dimensions=IDENTIFIER, value=value, at_s=60 * minute - 1)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Ten minutes of an instance: ten connections, and one GiB less each minute."""
    store = MetricStore()
    for minute in range(1, 11):
        store.add(instance("DatabaseConnections", 10, minute))
        store.add(instance("FreeStorageSpace", (20 - minute) * 1024**3, minute))
    file = tmp_path / "metrics.json"
    states = {"storage-low": "OK", "database-connections": "ALARM", "slow-queries": "INSUFFICIENT_DATA"}
    file.write_text(json.dumps({"minutes": 10, "states": states, "series": store.dump()}))
    return Recording.read(file)


def by_title(recording: Recording) -> dict[str, list[tuple[str, list[tuple[float, float]]]]]:
    """Return the label and the points of each line, by the title of its widget."""
    return {
        widget["properties"]["title"]: [(line.label, list(line.points)) for line in lines(widget, recording)]
        for widget in dashboard(recording)
        if widget["type"] == "metric"
    }


def test_a_line_has_the_values_of_its_own_statistic_and_unit(recording: Recording) -> None:
    shown = by_title(recording)
    ((label, points),) = shown["Free, GiB"]
    assert label == "FreeStorageSpace"
    assert points[:2] == [(10, 10), (9, 11)]
    percent, connections = shown["Connections, % of max_connections"]
    assert {value for _, value in connections[1]} == {10}
    assert 0 < percent[1][0][1] < 100
    assert shown["CPU, %"] == []


def test_sections_that_were_not_chosen_and_rows_without_data_are_left_out(recording: Recording) -> None:
    kept = chosen(dashboard(recording), recording, ["Database"])
    titles = [widget["properties"].get("title") for widget in kept]
    assert titles[:5][3] == "Free disk, GiB"
    assert "Connections, % of max_connections" in titles
    assert "CPU, %" not in titles
    assert "Latency, s" not in titles
    tops = sorted({(widget["y"], widget["height"]) for widget in kept})
    assert all(below == above + height for (above, height), (below, _) in itertools.pairwise(tops))


def test_the_same_metrics_give_the_same_picture(recording: Recording, tmp_path: Path) -> None:
    for name in ("one.png", "other.png"):
        draw(tmp_path / name, recording)
    drawn = (tmp_path / "one.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert drawn == (tmp_path / "other.png").read_bytes()


def test_the_committed_metrics_have_every_line_of_the_first_row() -> None:
    committed = Recording.read(RECORDED)
    first = [widget for widget in dashboard(committed) if widget["y"] == 0]
    assert first
    assert all(lines(widget, committed) for widget in first)
