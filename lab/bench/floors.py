"""Lower bounds: trivial functions and triggers, measured the same way."""

from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

from lab.bench.answers import Answer, milliseconds
from lab.bench.dataset import Dataset
from lab.bench.reads import READS_PER_SAMPLE, SELECT_ROW, STATUS_QUERIES, Reads, asking, interleave
from lab.bench.samples import Spread, short
from lab.bench.steps import Say
from lab.bench.writer_client import Work
from lab.bench.writers import WORKS, client_pipes, round_of, switch

CONSTANT, LOOKUP = "a function that returns a constant", "a function that reads one number by its key"
ROW = "the row of job_progress, without a function"
# Measured beside the reads whose lower bound they are.
READS = {
    **STATUS_QUERIES,
    CONSTANT: "SELECT bench_constant(%(job_id)s, false) AS progress",
    LOOKUP: "SELECT bench_lookup(%(job_id)s, false) AS progress",
    ROW: SELECT_ROW,
}
CREATE_FUNCTIONS = """
CREATE OR REPLACE FUNCTION bench_constant(job_id uuid, real_time boolean) RETURNS json LANGUAGE plpgsql STABLE
AS $$ BEGIN RETURN '{}'::json; END $$;

CREATE OR REPLACE FUNCTION bench_lookup(job_id uuid, real_time boolean) RETURNS bigint LANGUAGE plpgsql STABLE
AS $$ BEGIN
    RETURN (SELECT total_objects FROM public.job_progress WHERE job_progress.job_id = bench_lookup.job_id);
END $$;
"""

NOTHING, ONE_ROW = "a trigger that does nothing", "a trigger that writes one constant row"
WRITES: Mapping[Work, str] = {work: WORKS[work][1] for work in ("update many jobs", "execute_batch")}
# Like the triggers of 003: statement level, a transition table, SECURITY DEFINER.
CREATE_TRIGGER = """
CREATE OR REPLACE FUNCTION bench_trigger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
AS $$ BEGIN {body} RETURN NULL; END $$;

CREATE TRIGGER bench_insert AFTER INSERT ON job_objects REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION bench_trigger();

CREATE TRIGGER bench_update AFTER UPDATE ON job_objects REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION bench_trigger();
"""
DROP_TRIGGER = "DROP TRIGGER bench_insert ON job_objects; DROP TRIGGER bench_update ON job_objects"
BODIES = {
    NOTHING: "",
    # A delta of zeros: the counts stay true.
    ONE_ROW: "INSERT INTO public.job_progress_deltas (job_id) SELECT job_id FROM new_rows;",
}
# Rows per second of each sample, by what the trigger does; "" is no trigger.
Rates = dict[str, list[float]]


def read_floors(dataset: Dataset, *, samples: int, say: Say) -> dict[str, Reads]:
    """Time the status reads and their lower bounds, on one connection of the status function."""
    with dataset.cursor() as cursor:
        cursor.execute(CREATE_FUNCTIONS)
    return interleave(asking(dataset, READS), samples=samples, reads=READS_PER_SAMPLE, say=say)


def write_floors(dataset: Dataset, *, samples: int, say: Say) -> dict[Work, Rates]:
    """Time writers without a trigger, with an empty one, and with one that writes one constant row."""
    rates: dict[Work, Rates] = {work: {body: [] for body in ("", *BODIES)} for work in WRITES}
    switch(dataset, "DISABLE")
    with client_pipes(dataset) as pipes:
        for work, taken in rates.items():
            clients = pipes[: WORKS[work][0]]
            for sample in range(samples):
                for body in list(taken)[:: 1 if sample % 2 else -1]:
                    say(f"{work}, {body or 'no trigger'}, sample {sample + 1} of {samples}")
                    taken[body].append(_round(dataset, clients, work, body))
    return rates


def _round(dataset: Dataset, clients: Sequence[Connection], work: Work, body: str) -> float:
    if not body:
        return round_of(clients, work)
    with dataset.cursor() as cursor:
        cursor.execute(CREATE_TRIGGER.format(body=BODIES[body]))
        try:
            return round_of(clients, work)
        finally:
            cursor.execute(DROP_TRIGGER)


def read_answers(reads: Mapping[str, Reads]) -> list[Answer]:
    """Compare each lower bound with `SELECT 1`."""
    base = reads["SELECT 1"]
    return [
        Answer(
            question=f"the floor of it: {way} : `SELECT 1`, p50",
            value=f"{milliseconds(Spread.of(reads[way].p50_ms))} : {milliseconds(Spread.of(base.p50_ms))}",
            ratio=Spread.of_ratios(reads[way].p50_ms, base.p50_ms),
        )
        for way in (CONSTANT, LOOKUP, ROW)
    ]


def write_answers(rates: Mapping[Work, Rates]) -> list[Answer]:
    """Compare each lower bound with writes without a trigger."""
    return [
        Answer(
            question=f"the floor of it: {WRITES[work]}, {body} : without",
            value=f"{short(Spread.of(taken[body]).median)} : {short(Spread.of(taken['']).median)}",
            ratio=Spread.of_ratios(taken[body], taken[""]),
        )
        for work, taken in rates.items()
        for body in BODIES
    ]
