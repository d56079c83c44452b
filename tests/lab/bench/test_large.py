"""What scans all rows of a large database is measured once, and compared with what was measured beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.bench import refreshes, space
from lab.bench.adoption import EXAMINATION, Adopted, answers, longest_sync, measure, step_at
from lab.bench.dataset import LARGE, Dataset
from lab.bench.reads import Reads, in_turn, size_answers
from lab.bench.samples import Spread
from lab.bench.space import Database, building_answers
from tests.support.database import MIGRATIONS, build_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from lab.embedded_postgres import EmbeddedPostgres


def reads(*p50_ms: float) -> Reads:
    return Reads(p50_ms=p50_ms, p99_ms=p50_ms, p99_of_all_ms=1, slowest_ms=1)


def test_only_our_refresh_has_more_than_one_sample_in_a_large_database() -> None:
    large, usual = Dataset(None, LARGE + 1), Dataset(None, LARGE)  # type: ignore[arg-type]
    assert [refreshes.ways_of(large, sample) for sample in (0, 1)] == [list(refreshes.WAYS), [refreshes.OURS]]
    assert [refreshes.ways_of(usual, sample) for sample in (0, 1)] == [list(refreshes.WAYS)] * 2


def test_a_refresh_is_compared_with_that_at_a_million_objects_and_with_the_guides_of_the_same_sample() -> None:
    ours = {refreshes.OURS: [10.0, 20.0], refreshes.GUIDE: [400.0], refreshes.FALLBACK: [100.0], refreshes.FOLDED: [7]}
    base = {way: [10.0, 10.0] for way in ours}
    taken: dict[int, Any] = {1_000_000: base, 10_000_000: {way: [1.0, 1.0] for way in ours}, 100_000_000: ours}
    guide, fallback, size = refreshes.answers(taken)
    assert guide.question.endswith("the guide's SQL : ours, measured once")
    assert guide.value == "400 ms : 10.0 ms"
    assert (guide.ratio, fallback.ratio) == (Spread.of([40.0]), Spread.of([4.0]))
    assert size.question == "refresh, ours at 100,000,000 objects : at 1,000,000"
    assert size.ratio == Spread.of([1.0, 2.0])


def test_a_status_read_is_compared_with_that_at_a_million_objects() -> None:
    ways = ("cached", "real-time")
    status = {
        size: dict.fromkeys(ways, reads(value, value))
        for size, value in ((1_000_000, 1.0), (10_000_000, 5.0), (100_000_000, 1.2))
    }
    cached, _ = size_answers(status)
    assert cached.question == "status read, cached, at 100,000,000 objects : at 1,000,000, p50"
    assert cached.ratio is not None
    assert (cached.ratio.median, cached.held) == (1.2, False)


def test_samples_of_several_sizes_are_taken_in_turn() -> None:
    asked: list[str] = []

    def ask(name: str) -> Callable[[], None]:
        return lambda: asked.append(name)

    groups = {1: {"a": ask("a1"), "b": ask("b1")}, 2: {"a": ask("a2")}}
    taken = in_turn(groups, samples=2, reads=2, say=lambda _: None)
    assert asked[3:] == ["a1", "b1", "a1", "b1", "a2", "a2"] * 2
    assert {key: {way: len(each.p50_ms) for way, each in ways.items()} for key, ways in taken.items()} == {
        1: {"a": 2, "b": 2},
        2: {"a": 2},
    }


def test_a_wait_is_named_by_the_step_that_ran_when_it_ended() -> None:
    steps = [(0.0, "one"), (2.0, "two"), (5.0, "three")]
    named = [step_at(steps, second) for second in (-1.0, 0.0, 1.9, 2.1, 9.0)]
    assert named == [EXAMINATION, "one", "one", "two", "three"]


def test_the_longest_statement_of_a_writer_is_judged_beside_the_longest_wait_for_the_disk(tmp_path: Path) -> None:
    adopted = Adopted(duration_s=60, longest_s=1.1, longest_during="two", added_bytes=2_000_000_000)
    with longest_sync(tmp_path, adopted):
        while not adopted.longest_sync_s:
            pass
    assert list(tmp_path.iterdir()) == []
    took, longest, floor = answers(adopted, objects=1000)
    assert took.value == "60 s; adds 2.00 GB"
    assert longest.held is False
    assert longest.value.startswith("1.10 s, during `two`")
    assert floor.held is None


def test_the_size_stands_beside_the_memory_that_may_cache_it() -> None:
    _, size = building_answers(1000, 2.0, Database(50_000_000_000, "4GB"), 25_000_000_000)
    assert size.value.startswith("50.00 GB : 25.00 GB; shared_buffers has 4GB of it")


def test_a_database_is_adopted_under_writers_with_exact_progress(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.bench.adoption.ALONE_S", 0.1)
    dataset = Dataset(postgres, 3000, 4)
    release = build_release(MIGRATIONS)
    try:
        dataset.load(release, lambda _: None)
        adopted = measure(dataset, release, lambda _: None)
        dataset.settle()
        assert dataset.scalar("SELECT count(*) FROM verify_job_progress()") == 0
        # The writers' job is not the one whose objects the reads count.
        assert dataset.scalar(f"SELECT total_objects FROM job_progress WHERE job_id = '{dataset.hot.job_id}'") == 1500
        assert dataset.scalar("SELECT count(*) FROM job_objects WHERE updated_at > now() - INTERVAL '1 hour'") > 0
        assert 0 < adopted.longest_s < adopted.duration_s
        assert adopted.longest_during
        assert adopted.added_bytes > 0
        assert any("CREATE INDEX" in step for _, step in adopted.steps_s)
        vacuum = space.vacuum_objects(dataset)
        assert vacuum.table_bytes > 0
    finally:
        with postgres.connect(user="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {dataset.name} WITH (FORCE)")
