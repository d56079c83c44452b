"""Lower bounds of status reads: trivial functions, measured the same way."""

from collections.abc import Mapping

from lab.bench.answers import Answer, milliseconds
from lab.bench.dataset import Dataset
from lab.bench.reads import READS_PER_SAMPLE, SELECT_ROW, STATUS_QUERIES, Reads, asking, interleave
from lab.bench.samples import Spread
from lab.bench.steps import Say

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


def measure(dataset: Dataset, *, samples: int, say: Say) -> dict[str, Reads]:
    """Time the status reads and their lower bounds, on one connection of the status function."""
    with dataset.cursor() as cursor:
        cursor.execute(CREATE_FUNCTIONS)
    return interleave(asking(dataset, READS), samples=samples, reads=READS_PER_SAMPLE, say=say)


def answers(reads: Mapping[str, Reads]) -> list[Answer]:
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
