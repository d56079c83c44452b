"""Reports a game day: a table on the terminal, and the same as Markdown."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.gameday.clock import EXPLANATION
from lab.gameday.play import Row
from lab.gameday.system import OBJECTS, SLOW_STATEMENT_MS, SMALL_JOBS
from lab.gameday.watch import Watch, is_published

COLUMNS = ("fault", "alarm that rang", "after", "other pages", "tickets", "doctor said", "ended by", "over after", "")
# Without a terminal, as in CI.
WIDTH = 200
STAND_INS = (
    "Real: the functions' own metrics (EMF) and logs, the database's log through the stack's filter patterns.",
    "Stand-ins: AWS/Lambda from the functions' REPORT lines, AWS/ApiGateway from the HTTP answers.",
    "Stand-ins: AWS/Scheduler from our ticker, AWS/RDS DatabaseConnections and FreeStorageSpace from the server.",
    f"The table has {OBJECTS + SMALL_JOBS:,} objects, so a statement counts as slow from {SLOW_STATEMENT_MS} ms.",
)


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a row."""
    return (
        row.fault,
        row.alarm,
        _minutes(row.rang_after),
        ", ".join(row.pages) or "none",
        ", ".join(row.tickets) or "none",
        row.said or "-",
        "; ".join(row.done) or "-",
        _minutes(row.over_after),
        "FAILED" if row.failures else "held",
    )


def show(console: Console, rows: Sequence[Row], watch: Watch) -> None:
    """Print the table, the failures and the notes."""
    table = Table(title="Game day", title_justify="left", show_lines=True)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, cells(row)), style="red" if row.failures else "")
    console.print(table)
    for row in rows:
        for failure in row.failures:
            console.print(f"{row.fault} FAILED: {failure}", markup=False, highlight=False, style="red", soft_wrap=True)
    for line in notes(rows, watch):
        console.print(line, markup=False, highlight=False)


def notes(rows: Sequence[Row], watch: Watch) -> list[str]:
    """Return what was scaled, which metrics are stand-ins, and which alarms did not ring."""
    rang = {row.alarm for row in rows} | {name for row in rows for name in (*row.pages, *row.tickets)}
    unheard = [alarm.name for alarm in watch.evaluated if not is_published(alarm)]
    queries = [name for name in watch.alarms if name not in {alarm.name for alarm in watch.evaluated}]
    quiet = [alarm.name for alarm in watch.evaluated if alarm.name not in rang and alarm.name not in unheard]
    return [
        EXPLANATION,
        *STAND_INS,
        f"Watched throughout, without a fault of their own: {', '.join(quiet) or 'none'}.",
        f"Not exercised here, because their metrics are not published: {', '.join(unheard) or 'none'}.",
        f"Not evaluated here, because they are Metrics Insights queries: {', '.join(queries) or 'none'}.",
    ]


def markdown(rows: Sequence[Row], watch: Watch) -> str:
    """Return the table, the failures and the notes as Markdown."""
    lines = [
        "# Game day",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells(row))} |" for row in rows),
        "",
        *(f"- **{row.fault}**: {row.title}{''.join(f'; FAILED: {each}' for each in row.failures)}" for row in rows),
        "",
        *(f"- {line}" for line in notes(rows, watch)),
    ]
    return "\n".join(lines) + "\n"


def _minutes(value: int | None) -> str:
    return "-" if value is None else f"{value} min"
