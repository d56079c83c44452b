"""Measures what the triggers cost writers: rows per second with and without them, in pairs of rounds."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection

from lab.bench.answers import Answer, Goal
from lab.bench.dataset import Dataset
from lab.bench.samples import Spread, short
from lab.bench.steps import Say
from lab.bench.writer_client import CLIENTS, Work, serve

# Checkpoints and vacuums last seconds: many short pairs average them out better than a few long ones.
ROUND_S = 2.0
PAIRS_PER_SAMPLE = 4
GOAL = Goal("at least", 0.85)
# The number of clients for each kind of work, and its name in the table.
WORKS: dict[Work, tuple[int, str]] = {
    "update one job": (CLIENTS, f"single-row updates/s, {CLIENTS} clients, one hot job"),
    "update many jobs": (CLIENTS, f"single-row updates/s, {CLIENTS} clients, spread over 100 jobs"),
    "worker": (
        CLIENTS,
        f"objects/s, {CLIENTS} workers as the guide's: execute_batch with ON CONFLICT DO NOTHING, an UPDATE for each",
    ),
    "execute_batch": (1, "inserted rows/s, execute_batch of 1,000 with ON CONFLICT DO NOTHING"),
    "COPY": (1, "inserted rows/s, COPY of 1,000"),
}
# Rows per second of each pair, by `with` and `without` the triggers.
Pairs = dict[str, list[float]]


def measure(dataset: Dataset, *, samples: int, say: Say) -> dict[Work, Pairs]:
    """Run each kind of work with and without the triggers; the order alternates from pair to pair.

    At the end the triggers are enabled again, and the counts of jobs changed without them are rebuilt.
    """
    rates: dict[Work, Pairs] = {work: {"with": [], "without": []} for work in WORKS}
    with client_pipes(dataset) as pipes:
        for work, (clients, _) in WORKS.items():
            pairs = samples * PAIRS_PER_SAMPLE
            for pair in range(pairs):
                order = ("with", "without") if pair % 2 == 0 else ("without", "with")
                for triggers in order:
                    say(f"{work}, {triggers} triggers, pair {pair + 1} of {pairs}")
                    switch(dataset, "ENABLE" if triggers == "with" else "DISABLE")
                    rates[work][triggers].append(round_of(pipes[:clients], work))
                with dataset.cursor("progress_refresher") as cursor:  # as the schedule does
                    cursor.execute("SELECT refresh_job_progress()")
    say("rebuild")
    switch(dataset, "ENABLE")
    with dataset.cursor("progress_refresher") as cursor:
        cursor.execute("SELECT rebuild_job_progress(), refresh_job_progress()")
    return rates


def answers(rates: Mapping[Work, Mapping[str, Sequence[float]]]) -> list[Answer]:
    """Compare the rates with and without the triggers, pair by pair."""
    return [
        Answer(
            question=f"{WORKS[work][1]}, with triggers : without",
            value=f"{short(Spread.of(pairs['with']).median)} : {short(Spread.of(pairs['without']).median)}",
            ratio=Spread.of_ratios(pairs["with"], pairs["without"]),
            goal=GOAL,
        )
        for work, pairs in rates.items()
    ]


def switch(dataset: Dataset, state: str) -> None:
    """Enable or disable the triggers that track changes; foreign keys stay enforced."""
    with dataset.cursor() as cursor:
        for table in ("job_objects", "findings"):
            cursor.execute(f"ALTER TABLE {table} {state} TRIGGER USER")


@contextlib.contextmanager
def client_pipes(dataset: Dataset) -> Iterator[list[Connection]]:
    """Start the client processes and yield a pipe to each; they end with the block."""
    # spawn, not fork: a fork would copy locks that threads of this process hold.
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for number in range(CLIENTS):
            pipe, theirs = context.Pipe()
            arguments = (theirs, dataset.dsn("scanner_app"), dataset.objects, number)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            pipes.append(pipe)
            processes.append(process)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(timeout=10)
            process.kill()


def round_of(pipes: Sequence[Connection], work: Work) -> float:
    """Run the clients at the same time and return the sum of their rates."""
    for pipe in pipes:
        pipe.send((work, ROUND_S))
    results = [pipe.recv() for pipe in pipes]
    for result in results:
        if isinstance(result, Exception):
            raise result
    return float(sum(results))
