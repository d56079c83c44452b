"""Measures what the triggers cost writers: rows per second with and without them and with a trivial one, in turn."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection

from lab.bench.answers import Answer, Goal
from lab.bench.clients import ask, client_processes
from lab.bench.dataset import Dataset
from lab.bench.samples import Spread, short
from lab.bench.steps import Say
from lab.bench.writer_client import CLIENTS, Work, serve

# Checkpoints and vacuums last seconds: many short rounds average them out better than a few long ones.
ROUND_S = 2.0
TURNS_PER_SAMPLE = 5
GOAL = Goal("at least", 0.85)
# The number of clients for each kind of work, and its name in the table.
WORKS: dict[Work, tuple[int, str]] = {
    "update one job": (CLIENTS, f"single-row updates/s, {CLIENTS} clients, one hot job"),
    "update many jobs": (CLIENTS, f"single-row updates/s, {CLIENTS} clients, spread over the other jobs"),
    "worker": (
        CLIENTS,
        f"objects/s, {CLIENTS} workers as the guide's: execute_batch with ON CONFLICT DO NOTHING, an UPDATE for each",
    ),
    "execute_batch": (1, "inserted rows/s, execute_batch of 1,000 with ON CONFLICT DO NOTHING"),
    "COPY": (1, "inserted rows/s, COPY of 1,000"),
}
WITH, WITHOUT = "with triggers", "without"
# The lower bound: what any trigger that writes a delta costs.
FLOOR = "a trigger that writes one constant row"
WORKS_WITH_FLOOR: tuple[Work, ...] = ("update one job", "update many jobs", "worker", "execute_batch")
# Like those of 003: statement level, a transition table, SECURITY DEFINER. Its delta of zeros keeps the counts true.
CREATE_TRIGGER = """
CREATE OR REPLACE FUNCTION bench_trigger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
AS $$
BEGIN
    INSERT INTO public.job_progress_deltas (job_id) SELECT job_id FROM new_rows;
    RETURN NULL;
END
$$;

CREATE TRIGGER bench_insert AFTER INSERT ON job_objects REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION bench_trigger();

CREATE TRIGGER bench_update AFTER UPDATE ON job_objects REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION bench_trigger();
"""
DROP_TRIGGER = "DROP TRIGGER bench_insert ON job_objects; DROP TRIGGER bench_update ON job_objects"
# Rows per second of each turn, by what triggers there were.
Rates = dict[str, list[float]]


def measure(dataset: Dataset, *, samples: int, say: Say) -> dict[Work, Rates]:
    """Run each kind of work with each kind of trigger in turn; the order alternates from turn to turn.

    At the end the triggers are enabled, and the counts of jobs changed without them are rebuilt.
    """
    rates: dict[Work, Rates] = {
        work: {way: [] for way in (WITH, WITHOUT, *([FLOOR] if work in WORKS_WITH_FLOOR else []))} for work in WORKS
    }
    switch(dataset, "DISABLE")
    say("vacuum")
    with dataset.cursor() as cursor:  # dead rows of the measurements before would be pruned by the first rounds
        cursor.execute("VACUUM ANALYZE job_objects")
    with client_pipes(dataset) as pipes:
        for work, taken in rates.items():
            turns = samples * TURNS_PER_SAMPLE
            for turn in range(turns):
                for way in list(taken)[:: -1 if turn % 2 else 1]:
                    say(f"{work}, {way}, turn {turn + 1} of {turns}")
                    with _triggers(dataset, way):
                        taken[way].append(round_of(pipes[: WORKS[work][0]], work))
                with dataset.cursor("progress_refresher") as cursor:  # as the schedule does
                    cursor.execute("SELECT refresh_job_progress()")
    say("rebuild")
    switch(dataset, "ENABLE")
    with dataset.cursor("progress_refresher") as cursor:
        cursor.execute("SELECT rebuild_job_progress(), refresh_job_progress()")
    return rates


@contextlib.contextmanager
def _triggers(dataset: Dataset, way: str) -> Iterator[None]:
    """Have these triggers for a block, and none after it."""
    if way == WITH:
        switch(dataset, "ENABLE")
        yield
        switch(dataset, "DISABLE")
    elif way == WITHOUT:
        yield
    else:
        with dataset.cursor() as cursor:
            cursor.execute(CREATE_TRIGGER)
            yield
            cursor.execute(DROP_TRIGGER)


def answers(rates: Mapping[Work, Rates]) -> Iterator[Answer]:
    """Compare each kind of trigger with none, turn by turn."""
    for work, taken in rates.items():
        for way in (way for way in taken if way != WITHOUT):
            yield Answer(
                question=f"{'' if way == WITH else 'the floor of it: '}{WORKS[work][1]}, {way} : without",
                value=f"{short(Spread.of(taken[way]).median)} : {short(Spread.of(taken[WITHOUT]).median)}",
                ratio=Spread.of_ratios(taken[way], taken[WITHOUT]),
                goal=GOAL if way == WITH else None,
            )


def switch(dataset: Dataset, state: str) -> None:
    """Enable or disable the triggers that track changes; foreign keys stay enforced."""
    with dataset.cursor() as cursor:
        for table in ("job_objects", "findings"):
            cursor.execute(f"ALTER TABLE {table} {state} TRIGGER USER")


@contextlib.contextmanager
def client_pipes(dataset: Dataset) -> Iterator[list[Connection]]:
    """Start the client processes and yield a pipe to each; they end with the block."""
    arguments = [(dataset.dsn("scanner_app"), dataset.jobs, number) for number in range(CLIENTS)]
    with client_processes(serve, arguments) as pipes:
        yield pipes


def round_of(pipes: Sequence[Connection], work: Work) -> float:
    """Run the clients at the same time and return the sum of their rates."""
    return float(sum(ask(pipes, (work, ROUND_S))))
