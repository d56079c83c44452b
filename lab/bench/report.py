"""Writes the results: a table, JSON with every sample, and plots; all of them or none."""

import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.bench import plots
from lab.bench.answers import Answer
from lab.bench.plots import Series
from lab.bench.writers import PAIRS_PER_SAMPLE

HEADER = ("question", "value", "ratio", "goal", "")
# What a reader needs to judge the figures.
NOTES = (
    "Status reads go through the status function's own connection code. `SELECT 1` does too, on the same connection.",
    "The guide's view has the columns of `job_progress`, does not divide by zero, and is refreshed `CONCURRENTLY`.",
    "Changes are single-row updates of consecutive objects, as a scan makes them, half of them in the largest job.",
    (
        "Writers are processes with psycopg2; a sample is a pair of rounds, with the triggers and without, "
        f"{PAIRS_PER_SAMPLE} times as many as of the rest."
    ),
    "A floor is a lower bound: a trivial function or trigger in the same place. All triggers are SECURITY DEFINER.",
    "A cold start is the time from the first import to the first answer, in a fresh interpreter.",
    "Cold starts run the package as shipped: without bytecode. boto3, which the runtime brings, has its bytecode.",
    "The plain way of `status`: boto3's `rds` client signs the token, Powertools' router finds the route.",
    "The published figures are the original guide's, from its own machine.",
)


def write(
    folder: Path,
    answers: Sequence[Answer],
    figures: Mapping[str, Any],
    *,
    title: str,
    setting: str,
    series: tuple[Mapping[str, Series], Mapping[str, Series]],
) -> None:
    """Write `progress.md`, `progress.json` and `progress.svg`.

    Args:
        folder: receives the files.
        answers: the rows of the table.
        figures: further values for the JSON file.
        title: the headline.
        setting: a sentence on what was measured and how often.
        series: for both panels of the plots.

    """
    folder.mkdir(parents=True, exist_ok=True)
    document = {**figures, "answers": [{**asdict(answer), "held": answer.held} for answer in answers]}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".progress-") as temporary:
        part = Path(temporary)
        (part / "progress.md").write_text(markdown(answers, title=title, setting=setting))
        (part / "progress.json").write_text(json.dumps(document, indent=1, default=asdict) + "\n")
        plots.draw(part / "progress.svg", *series)
        for path in sorted(part.iterdir()):
            path.chmod(0o644)
            path.replace(folder / path.name)


def markdown(answers: Sequence[Answer], *, title: str, setting: str) -> str:
    """Return the page."""
    rows = [HEADER, ("---",) * len(HEADER), *(answer.cells() for answer in answers)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    judged = [answer.held for answer in answers if answer.held is not None]
    verdict = f"{sum(judged)} of {len(judged)} goals were held."
    legend = (
        "A ratio is a median, with the quartiles in brackets, of what the question names first to what it names last."
    )
    notes = "\n".join(f"- {note}" for note in NOTES)
    plot = "![Time against objects](progress.svg)"
    return "\n\n".join((f"# {title}", f"{setting}\n{legend}", verdict, table, plot, notes)) + "\n"


def print_table(answers: Sequence[Answer], console: Console) -> None:
    """Print the table on the terminal."""
    table = Table(*HEADER)
    for answer in answers:
        *cells, verdict = answer.cells()
        table.add_row(*cells, verdict.strip("*"), style="red" if answer.held is False else "")
    console.print(table)


def machine() -> dict[str, Any]:
    """Return the properties of this machine that figures depend on."""
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
