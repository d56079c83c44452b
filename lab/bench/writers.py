"""What writers pay for exact progress: rows per second with the triggers against without, in pairs of rounds."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection

from lab.bench.answers import Answer, Goal
from lab.bench.dataset import Dataset
from lab.bench.samples import Spread, short
from lab.bench.steps import Say
from lab.bench.writer_client import CLIENTS, Work, serve

# Checkpoints and vacuums come and go within seconds: many short pairs tell more than a few long ones.
ROUND_S = 2.0
PAIRS_PER_SAMPLE = 4
GOAL = Goal("at least", 0.85)
# How many clients do each kind of work, and what the table calls it.
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
# Rows per second of each pair: with the triggers, and without.
Pairs = dict[str, list[float]]


def measure(dataset: Dataset, *, samples: int, say: Say) -> dict[Work, Pairs]:
    """Let each kind of work run with and without the triggers; the next pair runs the other way round.

    At the end the triggers are on, and the jobs that were changed without them are mended.
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
                with dataset.cursor("progress_refresher") as cursor:  # as a schedule does each minute
                    cursor.execute("SELECT refresh_job_progress()")
    say("rebuild")
    switch(dataset, "ENABLE")
    with dataset.cursor("progress_refresher") as cursor:
        cursor.execute("SELECT rebuild_job_progress(), refresh_job_progress()")
    return rates


def answers(rates: Mapping[Work, Mapping[str, Sequence[float]]]) -> list[Answer]:
    """Compare with and without, pair by pair."""
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
    """Switch the triggers that track changes on or off; foreign keys stay as they are."""
    with dataset.cursor() as cursor:
        for table in ("job_objects", "findings"):
            cursor.execute(f"ALTER TABLE {table} {state} TRIGGER USER")


@contextlib.contextmanager
def client_pipes(dataset: Dataset) -> Iterator[list[Connection]]:
    """Start the clients, each a process, and give a pipe to each; they end with the block."""
    # A fresh interpreter each: a fork would copy the threads' locks of this one.
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
    """Let clients work at the same time, and return the sum of their rates."""
    for pipe in pipes:
        pipe.send((work, ROUND_S))
    results = [pipe.recv() for pipe in pipes]
    for result in results:
        if isinstance(result, Exception):
            raise result
    return float(sum(results))
