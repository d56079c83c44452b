"""`scannerdb retire`: delete old jobs that are finished, while writers go on; their last progress stays."""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta

import click

from handlers.contract.roles import REFRESHER
from handlers.diagnosis.text import plural
from handlers.progress.retirement import PATIENCE_S, RetirableJob, Tally, list_retirable, retire
from scannerdb.durations import duration_s
from scannerdb.options import Session, database_options, deadline_option, json_option, require_dsn
from scannerdb.partition.preflight import gibibytes
from scannerdb.partition.progress_reporter import ProgressReporter
from scannerdb.partition.terminal import reporter
from scannerdb.terminal import agree_to

LEFT = 1
# As retire_job() has it.
LEAST_AGE = timedelta(days=1)


def _age(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    age = timedelta(seconds=duration_s(context, parameter, value))
    if age < LEAST_AGE:
        raise click.BadParameter(f"{value} is less than a day; write 90d for 90 days")
    return age


@click.command("retire")
@database_options
@click.option(
    "--older-than",
    callback=_age,
    required=True,
    metavar="AGE",
    help="The age of the job and of the last update of its objects: 90d, 36h; a day at least.",
)
@click.option("--dry-run", is_flag=True, help="List the jobs, with counts and bytes; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@deadline_option
@json_option
def retire_jobs(
    dsn: str | None, environment: str | None, older_than: timedelta, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Delete old finished jobs with their objects and findings.

    Finished is a job whose objects have all succeeded or failed, or that has none. Its age counts from the newest of
    its created_at, its updated_at and the updated_at of its objects. The state of its execution is not asked for. A job
    that is written to while it is deleted stays, with the objects that it still has.

    Rows are deleted in small transactions, which writers do not wait for. The last progress of each job stays as a row
    of retired_jobs, and the status API answers from it. Ctrl-C, --deadline-s or kill -9 stop it at any point: the same
    command goes on there. Two runs at the same time share the work.

    \b
    scannerdb retire --older-than 90d --dry-run
    scannerdb retire --older-than 90d --yes --deadline-s 3600      for cron

    \b
    Exit code 0: done.
              1: other sessions hold rows of a job; an error.
    """  # noqa: D301 - click takes the character for "do not wrap"
    session = Session(require_dsn(dsn, environment, user=REFRESHER))
    jobs = list_retirable(session, older_than)
    if dry_run or not jobs:
        _print_jobs(jobs, as_json=as_json)
        return
    agree_to(f"{_summary(jobs)} will be deleted. This cannot be undone.", yes=yes)
    tally = Tally()
    with reporter(as_json=as_json) as report:
        progress = ProgressReporter(report, "deleting", total=sum(job.objects + job.findings for job in jobs))
        for batch in retire(session, jobs, older_than):
            tally.add(batch)
            progress.tell(tally.objects + tally.findings)
        progress.end()
    left = len(jobs) - tally.jobs - len(tally.kept)
    if as_json:
        fields = {"jobs": tally.jobs, "objects": tally.objects, "findings": tally.findings}
        click.echo(json.dumps({**fields, "kept": tally.kept, "left": left}))
    else:
        _print_tally(tally, left)
    sys.exit(LEFT if left else 0)


def _print_jobs(jobs: Sequence[RetirableJob], *, as_json: bool) -> None:
    if as_json:
        fields = ("objects", "findings", "bytes")
        document = {name: sum(getattr(job, name) for job in jobs) for name in fields}
        click.echo(json.dumps({"jobs": [vars(job) for job in jobs], **document}, default=str))
        return
    for job in jobs:
        begun = f", {plural(job.deleted_objects, 'object')} deleted already" if job.deleted_objects else ""
        updated = f"{job.last_update:%Y-%m-%d}" if job.last_update else "gone"
        rows = f"{plural(job.objects, 'object')}, {plural(job.findings, 'finding')}"
        click.echo(f"{job.job_id}  {updated}  {rows}{begun}")
    click.echo(f"{_summary(jobs)}." if jobs else "No job is finished and old enough.")


def _summary(jobs: Sequence[RetirableJob]) -> str:
    objects, findings = sum(job.objects for job in jobs), sum(job.findings for job in jobs)
    size = gibibytes(sum(job.bytes for job in jobs))
    return (
        f"{plural(len(jobs), 'job')} with {plural(objects, 'object')} and {plural(findings, 'finding')} (about {size})"
    )


def _print_tally(tally: Tally, left: int) -> None:
    click.echo(
        f"Retired {plural(tally.jobs, 'job')}: {plural(tally.objects, 'object')} and "
        f"{plural(tally.findings, 'finding')} deleted."
    )
    for job_id, deleted in tally.kept.items():
        lost = f"; {plural(deleted, 'object')} of it were deleted before" if deleted else ""
        click.echo(f"{job_id} was written to, so it stays{lost}.")
    if left:
        click.echo(
            f"{plural(left, 'job')} left: other sessions held rows for {PATIENCE_S:.0f} s. Next: scannerdb doctor "
            "lock-waits, then the same command",
        )
