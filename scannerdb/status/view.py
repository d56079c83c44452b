"""What `scannerdb status` shows: one job in full, or a line for each job, in 80 columns and in more."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from handlers.diagnosis.text import duration, plural
from scannerdb.status.job_rate import JobRate, short

# From this width on, whole ids and exact counts are shown.
WIDE_COLUMNS = 120
ID_COLUMNS = 8
# Header, headings, note, and the line that the cursor is on.
OTHER_LINES = 5
STYLES = {"completed": "green", "failed": "bold red", "aborted": "yellow"}

Answer = Mapping[str, Any]


class StatusView:
    """Draws the newest answer; keeps a rate for each of its jobs.

    Args:
        whole_list: list every job; else as many as the screen has lines for.

    """

    def __init__(self, *, whole_list: bool = False) -> None:
        self.note = ""
        self._whole_list = whole_list
        self._answer: Answer = {}
        self._rates: dict[str, JobRate] = {}

    def show(self, answer: Answer, at_s: float) -> None:
        """Take a body of `GET /jobs/{job_id}` or `GET /jobs?state=active` that was read at a Unix time in seconds."""
        refreshed_at = answer.get("cache_refreshed_at")
        # Cached numbers count from the refresh of job_progress, not from the read.
        seen_s = refreshed_at.timestamp() if refreshed_at else at_s
        jobs = _jobs(answer)
        self._answer = answer
        self._rates = {job["job_id"]: self._rates.get(job["job_id"], JobRate()) for job in jobs}
        for job in jobs:
            self._rates[job["job_id"]].see(seen_s, _done(job))

    def rate(self, job: Answer) -> JobRate:
        """Return the rate of a job of the newest answer."""
        return self._rates[job["job_id"]]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the console's width."""
        if self._answer:
            yield self._one(self._answer) if "job_id" in self._answer else self._many(options)
        if self.note:
            yield Text(self.note, style="yellow")

    def _one(self, job: Answer) -> RenderableType:
        style = STYLES.get(job["status"], "")
        head = Text.assemble(
            ("Job ", "dim"), str(job["job_id"]), ("  ", ""), (job["status"], style or "cyan"), ("  ", ""), _age(job)
        )
        place = f"s3://{job['bucket']}/{job['prefix'] or ''}"
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        bar.add_row(_bar(job), f"{float(job['progress_percent']):.1f} %  {self._advance(job)}")
        names = ("queued", "processing", "succeeded", "failed")
        counts = "  ".join(f"{job[name]:,} {name}" for name in names)
        findings = (
            f"{_done(job):,} of {plural(job['total'], 'object')} done, {plural(job['total_findings'], 'finding')}"
        )
        return Group(head, Text(place, overflow="ellipsis", no_wrap=True), bar, Text(counts), Text(findings))

    def _many(self, options: ConsoleOptions) -> RenderableType:
        jobs = _jobs(self._answer)
        if not jobs:
            later = "" if self._answer.get("data_source") == "real_time" else "; a later one: --real-time"
            return Text.assemble("No job is active.  ", _age(self._answer), (later, "dim"))
        room = len(jobs) if self._whole_list else max((options.height or options.size.height) - OTHER_LINES, 1)
        wide = options.max_width >= WIDE_COLUMNS
        table = Table(box=None, pad_edge=False, expand=True, padding=(0, 1, 0, 0))
        table.add_column("job", no_wrap=True, min_width=36 if wide else ID_COLUMNS)
        table.add_column("bucket", no_wrap=True, overflow="ellipsis", max_width=24 if wide else 18)
        table.add_column("", ratio=1, min_width=8)
        table.add_column("done", no_wrap=True, justify="right")
        table.add_column("of", no_wrap=True, justify="right")
        # The first answer gives no rate.
        moving = any(self.rate(job).per_second() is not None for job in jobs)
        for name in ("a second", "left") if moving else ():
            table.add_column(name, no_wrap=True, justify="right")
        for job in jobs[:room]:
            rate, left = self._rate_and_left(job)
            advance = "" if rate is None else short(rate), "" if left is None else duration(left)
            table.add_row(
                str(job["job_id"]) if wide else str(job["job_id"])[:ID_COLUMNS],
                job["bucket"],
                _bar(job),
                f"{float(job['progress_percent']):.1f} %",
                f"{job['total']:,}" if wide else short(job["total"]),
                *(advance if moving else ()),
            )
        rest = f"; {len(jobs) - room} more below" if len(jobs) > room else ""
        first = "the newest " if self._answer.get("next_cursor") else ""
        head = Text.assemble(f"{first}{plural(len(jobs), 'active job')}{rest}  ", _age(self._answer))
        return Group(head, table)

    def _rate_and_left(self, job: Answer) -> tuple[float | None, float | None]:
        """Return objects a second, and the seconds until the job is done, where they are known and not over."""
        remaining, rate = job["total"] - _done(job), self.rate(job)
        return rate.per_second(), rate.left_s(remaining) if remaining else None

    def _advance(self, job: Answer) -> str:
        rate, left = self._rate_and_left(job)
        if rate is None or job["status"] in STYLES:
            return ""
        return f"{short(rate)}/s  " + (f"about {duration(left)} left" if left is not None else "nothing moves")


def _jobs(answer: Answer) -> Sequence[Answer]:
    return [answer] if "job_id" in answer else answer.get("jobs", [])


def _done(job: Answer) -> int:
    done: int = job["succeeded"] + job["failed"]
    return done


def _bar(job: Answer) -> ProgressBar:
    # A job without objects is at 0 of 0; a bar of that length would pulse.
    return ProgressBar(total=max(job["total"], 1), completed=_done(job))


def _age(answer: Answer) -> tuple[str, str]:
    """Return the age of the numbers as styled text."""
    if (retired_at := answer.get("retired_at")) is not None:
        return f"retired {retired_at.astimezone():%Y-%m-%d}", "dim"
    refreshed_at = answer.get("cache_refreshed_at")
    if refreshed_at is None:
        return "exact now" if answer.get("data_source") == "real_time" else "never refreshed", "dim"
    seconds = max((datetime.now(UTC) - refreshed_at).total_seconds(), 0)
    return f"as of {refreshed_at.astimezone():%H:%M:%S}, {duration(seconds)} ago", "dim"
