"""The plots of one run are the same bytes wherever they are drawn, so that a commit shows what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.bench.plots import AGE_STYLES, READ_STYLES, REFRESH_STYLES, count, draw, draw_ages, duration

if TYPE_CHECKING:
    from pathlib import Path

LINE = {100_000: 1.0, 1_000_000: 2.0, 10_000_000: 3.0}


@pytest.mark.slow
def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "other.svg"):
        draw(tmp_path / name, dict.fromkeys(READ_STYLES, LINE), dict.fromkeys(REFRESH_STYLES, LINE))
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "other.svg").read_text()
    assert "dc:date" not in drawn


def test_the_guides_line_is_drawn_beside_ours(tmp_path: Path) -> None:
    draw(tmp_path / "plot.svg", dict.fromkeys(READ_STYLES, LINE), dict.fromkeys(REFRESH_STYLES, LINE))
    drawn = (tmp_path / "plot.svg").read_text()
    for label in ("published: refresh", "published: count, no index", "ours", "100M", "10 s"):
        assert label in drawn


def test_a_read_is_drawn_against_the_age_of_a_snapshot_beside_its_goal(tmp_path: Path) -> None:
    draw_ages(tmp_path / "plot.svg", dict.fromkeys(AGE_STYLES, LINE))
    drawn = (tmp_path / "plot.svg").read_text()
    for label in (*AGE_STYLES, "goal", "minutes since the snapshot"):
        assert label in drawn


@pytest.mark.parametrize(("value_ms", "text"), [(0.1, "0.1 ms"), (100, "100 ms"), (10_000, "10 s")])
def test_ticks_say_their_unit(value_ms: float, text: str) -> None:
    assert duration(value_ms) == text
    assert (count(100_000), count(10_000_000)) == ("100K", "10M")
