"""A sample becomes a figure, a figure is judged by its goal, and the page says so."""

import io

import pytest
from rich.console import Console

from lab.bench.answers import Answer, Goal
from lab.bench.held_snapshot import growth_until_an_hour
from lab.bench.report import markdown, print_table
from lab.bench.samples import Spread, percentile, short


def test_a_spread_is_a_median_between_quartiles() -> None:
    assert Spread.of([5, 1, 3, 2, 4]) == Spread(3, 2, 4)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_a_ratio_is_taken_pair_by_pair() -> None:
    assert Spread.of_ratios([10, 40], [10, 20]) == Spread(1.5, 1.25, 1.75)
    with pytest.raises(ValueError, match="shorter"):
        Spread.of_ratios([1, 2], [1])


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (0.1, 1)])
def test_a_percentile_is_one_of_the_samples(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(0.0954, "0.095"), (1.254, "1.25"), (52.98, "53.0"), (997.6, "998"), (48_890.2, "48,890")]
)
def test_a_number_keeps_the_digits_that_matter(value: float, text: str) -> None:
    assert short(value) == text


def answer(goal: Goal | None, *, judged: float | None = None) -> Answer:
    return Answer(question="q", value="v", ratio=Spread(1.25, 1, 2), goal=goal, judged=judged)


def test_a_goal_is_held_up_to_its_limit() -> None:
    assert answer(Goal("at most", 1.25)).held is True
    assert answer(Goal("at most", 1.24)).held is False
    assert answer(Goal("at least", 1.25)).held is True
    assert answer(Goal("at least", 1.26)).held is False
    assert answer(None).held is None


def test_a_goal_judges_another_number_than_the_ratio_when_there_is_one() -> None:
    assert answer(Goal("at most", 10, "ms"), judged=10.1).held is False
    assert answer(Goal("at most", 10, "ms"), judged=0.0).held is True


def test_the_page_counts_the_goals_that_were_held_and_names_those_missed() -> None:
    page = markdown(
        [answer(Goal("at most", 2)), answer(Goal("at least", 2, "jobs")), answer(None)], title="T", setting="S"
    )
    assert "1 of 2 goals were held." in page
    assert "| q | v | 1.25 (1.00-2.00) | at most 2 | held |" in page
    assert "| q | v | 1.25 (1.00-2.00) | at least 2 jobs | **missed** |" in page


def test_the_terminal_shows_every_figure_in_80_columns() -> None:
    output = io.StringIO()
    long = Answer(question="word " * 30, value="figure " * 20, ratio=Spread(1.25, 1, 2), goal=Goal("at most", 2))
    print_table([long, answer(None)], Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "ratio 1.25 (1.00-2.00)" in " ".join(line.strip() for line in lines)
    assert lines[-1] == "    v   ratio 1.25 (1.00-2.00)"


def test_what_an_hour_adds_to_a_read_follows_from_the_line_through_its_samples() -> None:
    assert growth_until_an_hour({0: 1.0, 600: 2.0, 1200: 3.0}) == pytest.approx(5)
    assert growth_until_an_hour({0: 3.0, 600: 3.0}) == pytest.approx(0)
    assert growth_until_an_hour({5: 2.0}) == pytest.approx(0)


def test_a_line_that_falls_by_chance_takes_nothing_away_from_a_read() -> None:
    assert growth_until_an_hour({0: 3.0, 600: 1.0}) == 0
