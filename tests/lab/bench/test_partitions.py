"""The table of the partitions' bench compares the right way round, and every sample is in the JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.bench import partitions

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TAKEN = {
    partitions.REFRESH: {"plain": [10.0, 10.0], "partitioned": [20.0, 20.0]},
    "COPY": {"plain": [1000.0, 1000.0], "partitioned": [900.0, 900.0]},
}


def test_a_ratio_is_that_of_the_partitioned_table_to_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = partitions.answers(TAKEN, objects=1000, partition_s=2.0)
    assert [row.cells()[:3] for row in rows] == [
        ("partitioning 1,000 objects, without writers", "2 s, 500 rows/s", ""),
        ("refresh after 50,000 changes; partitioned : plain", "20.0 ms : 10.0 ms", "2.00 (2.00-2.00)"),
        ("inserted rows/s, COPY of 1,000; partitioned : plain", "900 : 1,000", "0.90 (0.90-0.90)"),
    ]
    monkeypatch.setattr(partitions, "RESULTS", tmp_path)
    figures = {"version": "17", "cores": 2, "samples": 2, "taken": TAKEN}
    partitions.write(rows, figures, objects=1000)
    assert (
        "| refresh after 50,000 changes; partitioned : plain | 20.0 ms : 10.0 ms |"
        in (tmp_path / "partitions.md").read_text()
    )
    assert json.loads((tmp_path / "partitions.json").read_text())["taken"] == TAKEN
