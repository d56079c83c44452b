"""`scannerdb logs` and `scannerdb invoke`: read the log of a deployed function, and invoke it."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console

from handlers.contract.names import FUNCTIONS, function_log_group
from scannerdb.aws import calling, client
from scannerdb.durations import duration_s
from scannerdb.functions.invocation import invoke_function
from scannerdb.functions.log_lines import lines_of
from scannerdb.options import deployment_option, environment_file, json_option
from stacks.settings import Settings, load_settings

POLL_INTERVAL_S = 2
# CloudWatch Logs shows an event some seconds after it happened, and not always in order.
LATE_MS = 30_000


function_argument = click.argument("function", type=click.Choice(FUNCTIONS))


@click.command()
@function_argument
@deployment_option
@click.option("--since", callback=duration_s, default="1h", show_default=True, help="How far back: 90s, 15m, 1h, 2d.")
@click.option("--follow", "-f", is_flag=True, help="Print new events until Ctrl-C.")
@json_option
def logs(function: str, environment: str, since: float, *, follow: bool, as_json: bool) -> None:
    """Print the log of FUNCTION, a line a record.

    \b
    scannerdb logs refresh -e prod                    the last hour
    scannerdb logs status -e prod --since 15m -f      and new events
    scannerdb logs migrate -e prod --since 2d --json | jq -r .message
    """  # noqa: D301
    settings = load_settings(environment_file(environment))
    console = Console(highlight=False, soft_wrap=True)
    since_ms = int((time.time() - since) * 1000)
    try:
        for event in _events(settings, function_log_group(settings.prefix, function), since_ms, follow=follow):
            if as_json:
                click.echo(json.dumps(event))
            else:
                for line in lines_of(event):
                    console.print(line)
    except KeyboardInterrupt:
        sys.exit(130)


@click.command()
@function_argument
@deployment_option
@click.option("--payload", default="{}", show_default=True, metavar="JSON", help="The event.")
def invoke(function: str, environment: str, payload: str) -> None:
    """Invoke FUNCTION, wait for it, and print its result.

    \b
    scannerdb invoke refresh -e prod
    scannerdb invoke refresh -e prod --payload '{"action": "verify"}'
    scannerdb invoke doctor -e prod --payload '{"alarm": "progress-stale"}'

    \b
    Exit code 0: it returned.  1: it raised an error, which is printed; or it could not be invoked.
    """  # noqa: D301
    try:
        json.loads(payload)
    except ValueError as error:
        raise click.UsageError(f"--payload {payload!r} is not JSON: {error}") from error
    result = invoke_function(load_settings(environment_file(environment)), function, payload)
    click.echo(json.dumps(result, indent=2, ensure_ascii=False))


def _events(settings: Settings, group: str, since_ms: int, *, follow: bool) -> Iterator[dict[str, Any]]:
    """Yield the events of a log group in order, each once."""
    logs_ = client(settings, "logs")
    seen: dict[str, int] = {}
    while True:
        with calling(settings, f"the log group {group}"):
            pages = logs_.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since_ms)
            found = [event for page in pages for event in page["events"] if event["eventId"] not in seen]
        for event in sorted(found, key=lambda event: event["timestamp"]):
            seen[event["eventId"]] = event["timestamp"]
            yield event
        if not follow:
            return
        since_ms = max(since_ms, max(seen.values(), default=since_ms) - LATE_MS)
        seen = {id_: at_ms for id_, at_ms in seen.items() if at_ms >= since_ms}
        time.sleep(POLL_INTERVAL_S)
