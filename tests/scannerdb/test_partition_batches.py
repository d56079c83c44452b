"""A batch leaves locks and disk to writers: small where rows are slow, and a longer rest where the disk is late."""

from __future__ import annotations

import pytest

from handlers import batches
from handlers.batches import FEWEST_ROWS, FIRST_ROWS, LONGEST_REST_S, MOST_ROWS, Batches, rest_s


@pytest.mark.parametrize(("took_s", "rest"), [(0.0, 0.0), (0.1, 0.02), (0.15, 0.03), (1.3, 1.0), (60, LONGEST_REST_S)])
def test_who_was_slow_rests_for_as_long_as_it_was_late(took_s: float, rest: float) -> None:
    assert rest_s(took_s) == pytest.approx(rest)


def test_batches_grow_twofold_at_most_and_shrink_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(batches.time, "sleep", rests.append)
    size = Batches()
    size.took(0.001)
    assert size.rows == 2 * FIRST_ROWS
    size.took(1.5)  # ten times as long as aimed
    assert size.rows == pytest.approx(2 * FIRST_ROWS / 10, abs=1)
    for _ in range(20):
        size.took(0.0)
    assert size.rows == MOST_ROWS
    for _ in range(20):
        size.failed()
    assert size.rows == FEWEST_ROWS
    assert rests[:2] == pytest.approx([0.0002, 1.2])
