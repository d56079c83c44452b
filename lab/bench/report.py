"""Writes the results: a table, JSON with every sample, and plots; all of them or none."""

import json
import os
import platform
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from lab.bench import plots
from lab.bench.answers import Answer
from lab.bench.plots import Series
from lab.bench.writers import TURNS_PER_SAMPLE

WIDTH = 80
HEADER = ("question", "value", "ratio", "goal", "")
# What a reader needs to judge the figures.
NOTES = (
    "Status reads go through the status function's own connection code. `SELECT 1` does too, on the same connection.",
    "The guide's view has the columns of `job_progress`, does not divide by zero, and is refreshed `CONCURRENTLY`.",
    "Changes are single-row updates of consecutive objects, as a scan makes them, half of them in the largest job.",
    (
        "Writers are processes with psycopg2; a sample is a turn of rounds: with the triggers, without, with a trivial "
        f"one; {TURNS_PER_SAMPLE} times as many as of the rest."
    ),
    "A floor is a lower bound: a trivial function or trigger in the same place. All triggers are SECURITY DEFINER.",
    "A cold start is the time from the first import to the first answer, in a fresh interpreter.",
    "A third of a core: a control group with a CPU quota; server and emulator are outside of it.",
    "Cold starts run the package as shipped: without bytecode. boto3, which the runtime brings, has its bytecode.",
    "The plain way of `status`: boto3's `rds` client signs the token, Powertools' router finds the route.",
    (
        "Under a held snapshot a refresh runs each minute. `the same without bounds` scans every delta that the "
        "snapshot keeps, as a read did before there were bounds."
    ),
    "The database is adopted as it is: `migrate` builds indexes and counts rows while 4 writers update and insert.",
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
    ages: Mapping[str, Series],
) -> None:
    """Write `progress.md`, `progress.json`, `progress.svg` and `held_snapshot.svg`.

    Args:
        folder: receives the files.
        answers: the rows of the table.
        figures: further values for the JSON file.
        title: the headline.
        setting: a sentence on what was measured and how often.
        series: for both panels of the plots.
        ages: milliseconds by the age of a held snapshot in seconds, for the plot of these.

    """
    folder.mkdir(parents=True, exist_ok=True)
    document = {**figures, "answers": [{**asdict(answer), "held": answer.held} for answer in answers]}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".progress-") as temporary:
        part = Path(temporary)
        (part / "progress.md").write_text(markdown(answers, title=title, setting=setting))
        (part / "progress.json").write_text(json.dumps(document, indent=1, default=asdict) + "\n")
        plots.draw(part / "progress.svg", *series)
        plots.draw_ages(part / "held_snapshot.svg", ages)
        for path in sorted(part.iterdir()):
            path.chmod(0o644)
            path.replace(folder / path.name)


def markdown(answers: Sequence[Answer], *, title: str, setting: str) -> str:
    """Return the page."""
    legend = (
        "A ratio is a median, with the quartiles in brackets, of what the question names first to what it names last."
    )
    notes = "\n".join(f"- {note}" for note in NOTES)
    plot = "![Time against objects](progress.svg)"
    ages = "![An exact read against the age of a held snapshot](held_snapshot.svg)"
    parts = (f"# {title}", f"{setting}\n{legend}", verdict(answers), table(answers), plot, ages, notes)
    return "\n\n".join(parts) + "\n"


def table(answers: Sequence[Answer]) -> str:
    """Return the answers as a table."""
    rows = [HEADER, ("---",) * len(HEADER), *(answer.cells() for answer in answers)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def verdict(answers: Sequence[Answer]) -> str:
    """Say how many goals were held."""
    judged = [answer.held for answer in answers if answer.held is not None]
    return f"{sum(judged)} of {len(judged)} goals were held."


def print_table(answers: Sequence[Answer], console: Console) -> None:
    """Print the questions on the terminal, each above its figures, so that 80 columns are enough."""
    for answer in answers:
        question, value, ratio, goal, verdict = answer.cells()
        style = "red" if answer.held is False else ""
        verdict = f"{goal}: {verdict.strip('*')}" if goal else ""
        figures = "   ".join(text for text in (value, ratio and f"ratio {ratio}", verdict) if text)
        for text, indent in ((question.replace("`", ""), ""), (figures, "    ")):
            lines = textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")
            console.print("\n".join(lines), style=style, highlight=False, soft_wrap=True)


def machine() -> dict[str, Any]:
    """Return the properties of this machine that figures depend on."""
    return {
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
