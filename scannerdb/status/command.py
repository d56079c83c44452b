"""`scannerdb status`: the progress of jobs, once or live."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import click
import psycopg2
from rich.console import Console
from rich.live import Live

from handlers import waiting
from handlers.contract.roles import READER
from handlers.errors import JobNotFoundError
from handlers.progress import reads
from scannerdb.causes import sentence
from scannerdb.errors import OperatorError
from scannerdb.numbers import Number
from scannerdb.options import Session, database_options, deadline_option, json_option, require_dsn
from scannerdb.status.view import StatusView

ENDED = frozenset({"completed", "failed", "aborted"})
FAILED = 1
LONGEST_WAIT_S = 30

Read = Callable[[Session], dict[str, Any]]


@click.command()
@click.argument("job_id", required=False)
@database_options
@click.option("--real-time", is_flag=True, help="Exact counts now, instead of those of job_progress.")
@click.option("--watch", is_flag=True, help="Show progress, rate and time left until all is done.")
@click.option(
    "--interval", type=Number(0.1), default=2, show_default=True, metavar="SECONDS", help="Between two reads."
)
@deadline_option
@json_option
def status(
    job_id: str | None,
    dsn: str | None,
    environment: str | None,
    interval: float,
    *,
    real_time: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Show the progress of JOB_ID, or of every active job.

    The numbers are those of the status API. They come from job_progress and say how old they are; --real-time reads
    exact ones. The first characters of an active job's id are enough. --watch reconnects when the connection is lost;
    --json prints an object for each read.

    \b
    scannerdb status                                 every active job, newest first
    scannerdb status 5eda92d8                        one job, with its counts
    scannerdb status 5eda92d8 --watch --real-time    live, until it is done
    scannerdb status --watch --interval 10           until no job is active
    scannerdb status --json | jq '.jobs[] | {job_id, progress_percent}'

    \b
    Exit code 0: shown, or done.  1: the job failed or was aborted; an error.
    """  # noqa: D301

    def connect() -> Session:
        return Session(require_dsn(dsn, environment, user=READER))

    session = connect()
    read = _reader(session, job_id, real_time=real_time)
    answers = _answers(session, connect, read, interval) if watch else iter([read(session)])
    last = _print_json(answers) if as_json else _draw(answers, watch=watch)
    sys.exit(FAILED if last.get("status") in {"failed", "aborted"} else 0)


def _reader(session: Session, job_id: str | None, *, real_time: bool) -> Read:
    if job_id is None:
        return lambda at: _active_jobs(at, real_time=real_time)
    key = _whole_id(session, job_id)
    return lambda at: reads.job_status(at, key, real_time=real_time)


def _active_jobs(session: Session, *, real_time: bool) -> dict[str, Any]:
    return reads.list_jobs(session, state="active", limit=reads.MAX_JOBS, cursor=None, real_time=real_time)


def _whole_id(session: Session, job_id: str) -> str:
    """Return the whole id of an active job that begins so, or the id as it is."""
    try:
        return str(UUID(job_id))
    except ValueError:
        active = _active_jobs(session, real_time=True)["jobs"]
        begun = [str(job["job_id"]) for job in active if str(job["job_id"]).startswith(job_id.lower())]
        if len(begun) > 1:
            raise OperatorError(f"{len(begun)} active jobs begin with {job_id!r}: {', '.join(begun)}") from None
        if not begun:
            message = f"no active job begins with {job_id!r}; a job that is done needs its whole id"
            raise JobNotFoundError(message) from None
        return begun[0]


def _answers(
    session: Session, connect: Callable[[], Session], read: Read, interval_s: float
) -> Iterator[dict[str, Any]]:
    """Yield each answer, or `{"error", "tries"}` when the database does not answer, until all is done."""
    current: Session | None = session
    tries = 0
    while True:
        try:
            current = current or connect()
            answer = read(current)
        # When the network is away, reading an IAM token or a password fails too (OperatorError).
        except (psycopg2.OperationalError, psycopg2.InterfaceError, OperatorError) as error:
            current, tries = None, tries + 1
            why = sentence(error) if isinstance(error, psycopg2.Error) else error.message
            yield {"error": why, "tries": tries}
            waiting.sleep(min(interval_s * tries, LONGEST_WAIT_S))
            continue
        tries = 0
        yield answer
        if answer.get("status") in ENDED or answer.get("jobs") == []:
            return
        waiting.sleep(interval_s)


def _print_json(answers: Iterator[dict[str, Any]]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for answer in answers:
        last = answer
        click.echo(json.dumps(answer, default=_plain))
    return last


def _draw(answers: Iterator[dict[str, Any]], *, watch: bool) -> dict[str, Any]:
    console = Console(highlight=False)
    # A terminal shows the newest answer in place; a log gets every answer, one below the other.
    live = watch and console.is_terminal
    view = StatusView(whole_list=not live)
    last: dict[str, Any] = {}
    with Live(view, console=console, auto_refresh=False) if live else nullcontext() as screen:
        for answer in answers:
            if "error" in answer:
                why = answer["error"].splitlines()[0]
                view.note = f"No answer, {answer['tries']} times in a row; trying again. {why}"
            else:
                last, view.note = answer, ""
                view.show(answer, time.time())
            if screen is None:
                console.print(view)
            else:
                screen.refresh()
    return last


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Decimal():
            return float(value)
    return str(value)
