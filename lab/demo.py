"""Shows the whole system: deploys, scans, refreshes, reads a status, and times each way to read it.

python -m lab.demo --objects 100000
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab import api_client
from lab.deploy_without_terraform import deploy_without_terraform
from lab.deployment import DIRECTORY, Deployment, DeploymentError
from lab.embedded_postgres import EmbeddedPostgresError
from lab.emulator.server import EmulatorError
from lab.measure import Measurement, measure
from lab.processes import InterruptedBySignalError, raise_on_signals
from lab.scan import JOBS, ScanJob, plan_scan, write_scan_with_bar
from scannerdb import terraform
from stacks.disk_errors import disk_problem
from stacks.settings import SettingsError

MOST_OBJECTS = 100_000_000
FAILURES = (
    *(DeploymentError, EmbeddedPostgresError, EmulatorError, SettingsError, terraform.TerraformError),
    psycopg2.Error,
)


class Steps:
    """Prints numbered steps, each with the seconds that it took."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._number = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print a step's title and, at its end, its duration."""
        self._number += 1
        self._console.print(f"\n[bold]{self._number}/{self._total}  {escape(title)}[/bold]")
        started_s = time.monotonic()
        yield
        self.say(f"done in {time.monotonic() - started_s:.1f} s", style="green")

    def say(self, text: str, *, style: str = "") -> None:
        """Print a line of the current step."""
        self._console.print(f"     {text}", style=style, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo and return the exit code."""
    arguments = _parse_arguments()
    console = Console()
    raise_on_signals()
    started_s = time.monotonic()
    try:
        _run(console, arguments)
    except InterruptedBySignalError as interrupted:
        console.print("\nInterrupted; everything that was started is stopped.")
        return interrupted.exit_code
    except FAILURES as failure:
        _print_failure(console, str(failure))
        return 1
    except OSError as failure:
        if (problem := disk_problem(failure)) is None:
            raise
        _print_failure(console, problem)
        return 1
    console.print(f"\nEverything is stopped again. The whole took {time.monotonic() - started_s:.0f} s.")
    return 0


def _print_failure(console: Console, text: str) -> None:
    console.print(f"\n[bold red]The demo failed.[/bold red] {escape(text)}", highlight=False, soft_wrap=True)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description="Run the whole system on this machine.")
    parser.add_argument(
        "--objects",
        type=_objects,
        default=1_000_000,
        metavar="N",
        help=f"S3 objects in the synthetic scan, from {JOBS} to {MOST_OBJECTS:,} (1,000,000)",
    )
    parser.add_argument(
        "--directory", type=Path, default=DIRECTORY, help=f"where state and logs go ({_short(DIRECTORY)})"
    )
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")
    return parser.parse_args()


def _objects(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not JOBS <= number <= MOST_OBJECTS:
        allowed = f"a whole number from {JOBS} (one for each job) to {MOST_OBJECTS}"
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; give {allowed}, without separators")
    return number


def _run(console: Console, arguments: argparse.Namespace) -> None:
    objects: int = arguments.objects
    steps = Steps(console, total=6)
    with contextlib.ExitStack() as running:
        with steps.step("Start an embedded PostgreSQL 17 and an AWS emulator"):
            deployment = running.enter_context(Deployment(arguments.directory.resolve(), report=steps.say))
            steps.say(f"PostgreSQL on port {deployment.postgres.port}, AWS on {deployment.emulator.aws_url}")
            steps.say(f"logs in {_short(deployment.logs)}")
        with steps.step("Deploy"):
            found = terraform.find_provider(report=steps.say)
            provider = found if isinstance(found, terraform.Provider) else None
            outcome = _deploy(deployment, found, steps)
        with steps.step(f"Scan: write {objects:,} objects in {JOBS} jobs, as the scanner would"):
            jobs = plan_scan(objects)
            write_scan_with_bar(deployment.postgres.dsn(user="scanner_app"), jobs)
        with steps.step("Refresh once, through the Lambda API, as EventBridge Scheduler would"):
            result = deployment.emulator.invoke(deployment.function_name("refresh"), {"source": "schedule"})
            steps.say(f"{result['jobs']} jobs and {result['objects']:,} objects in {result['duration_ms']:,} ms")
        with steps.step("Get the status of a job over HTTP"):
            _show_status(deployment, jobs[0], steps)
        with steps.step("Time the ways to read it, for the job with half of the objects"):
            url = _status_url(deployment, jobs[0])
            measurements = measure(
                deployment.postgres, job_id=str(jobs[0].job_id), status_url=url, region=deployment.settings.region
            )
        console.print(_table(measurements, objects))
        console.print(outcome, markup=False, highlight=False, soft_wrap=True)
        _say_what_next(console, deployment)
        if arguments.keep:
            _wait_for_interrupt(console, deployment, jobs, provider)


def _deploy(deployment: Deployment, provider: terraform.Provider | terraform.NoProvider, steps: Steps) -> str:
    """Deploy with Terraform, or without it where there is no provider; return a sentence that says which."""
    if isinstance(provider, terraform.Provider):
        steps.say(f"cdktf deploy local, with the AWS provider from {provider}")
        steps.say("about 3 minutes; for two of them the provider waits for bucket and database, as on AWS")
        summary = deployment.deploy(provider)
        steps.say(f"Terraform: {summary}; the plan invoked the migrations")
        return f"The plan was applied by Terraform: {summary}."
    steps.say(f"Terraform is SKIPPED: {provider.reason}", style="yellow")
    steps.say("Instead, the resources of the data path are created directly, from the same synthesised stack.")
    made = deploy_without_terraform(deployment, report=steps.say)
    return f"The plan was NOT applied by Terraform; {made} of its resources were created directly. {provider.reason}"


def _status_url(deployment: Deployment, job: ScanJob) -> str:
    return f"{deployment.emulator.api_url}/jobs/{job.job_id}"


def _show_status(deployment: Deployment, job: ScanJob, steps: Steps) -> None:
    url = _status_url(deployment, job)
    answer = api_client.get(url, region=deployment.settings.region)
    steps.say(f"GET {url}  ->  {answer.status_code}")
    steps.say(json.dumps(answer.body))


def _table(measurements: tuple[Measurement, ...], objects: int) -> Table:
    table = Table(
        title=f"\nProgress of one job, which holds half of {objects:,} objects",
        caption="Medians, warm connection, everything in memory. The guide measured 1,000,000 objects on a small RDS "
        "instance, so compare rows rather than columns. In the first two rows planner settings force the way to read; "
        "the table was vacuumed before.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("way to read")
    table.add_column("here", justify="right", style="bold")
    table.add_column("the guide, at 1M", justify="right")
    table.add_column("executed as", overflow="fold")
    for each in measurements:
        table.add_row(each.name, f"{each.median_ms:,.2f} ms", each.published, each.scan)
    return table


def _say_what_next(console: Console, deployment: Deployment) -> None:
    for line in (
        "",
        "What to look at next:",
        "  docs/architecture.md            how it works",
        "  migrations/                     the SQL that makes the difference",
        f"  {_short(deployment.logs):30}  the logs of Terraform, functions and emulator",
        f"  {_short(Path(sys.executable))} -m lab.demo --keep    the same, left running",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _wait_for_interrupt(
    console: Console, deployment: Deployment, jobs: tuple[ScanJob, ...], provider: terraform.Provider | None
) -> None:
    region = deployment.settings.region
    variables = deployment.write_shell_variables(provider)
    changing = ["  make plan ENV=local      what a change to stacks/, handlers/ or migrations/ would do"]
    changing += ["  make deploy ENV=local    do it"]
    for line in (
        "",
        "Still running; Ctrl-C stops everything.",
        f"  {api_client.curl_command(_status_url(deployment, jobs[0]), region=region)}",
        f"  {api_client.curl_command(_status_url(deployment, jobs[-1]), region=region)}",
        f'  psql "{deployment.postgres.dsn()}"',
        "",
        "In another terminal:",
        f"  source {_short(variables)}",
        f"  {_short(Path(sys.executable).with_name('scannerdb'))} status",
        *(changing if provider and variables.parent == DIRECTORY else ()),
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    with contextlib.suppress(InterruptedBySignalError):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
