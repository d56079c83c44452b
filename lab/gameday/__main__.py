"""Play a game day: a healthy run and every fault, on this machine.

python -m lab.gameday --only drift --healthy-seconds 0
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg2
from rich.console import Console
from rich.markup import escape

from lab.deployment import DeploymentError
from lab.embedded_postgres import EmbeddedPostgresError
from lab.emulator.server import EmulatorError
from lab.gameday.clock import TICK_S
from lab.gameday.fault import Fault
from lab.gameday.faults import FAULTS
from lab.gameday.play import Row, play, play_healthy
from lab.gameday.report import WIDTH, markdown, show
from lab.gameday.stage import game_day
from lab.gameday.system import DIRECTORY
from lab.processes import InterruptedBySignalError, raise_on_signals
from stacks import ROOT
from stacks.settings import SettingsError

REPORT_FILE = ROOT / "build" / "gameday.md"
# What `python -m lab.dashboard` draws.
METRICS_FILE = ROOT / "build" / "gameday_metrics.json"
# Under load, without a page.
HEALTHY_S = 300


def main() -> int:
    """Run the command line and return the exit code: 0 when everything held."""
    arguments = _parse_arguments()
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    faults = [make() for make in FAULTS]
    if arguments.list:
        for fault in faults:
            console.print(f"{fault.name:20} {fault.alarm:22} {fault.title}", markup=False, highlight=False)
        return 0
    raise_on_signals()
    chosen = [fault for fault in faults if not arguments.only or fault.name in arguments.only]
    try:
        rows = run(
            chosen, healthy_s=arguments.healthy_seconds, directory=arguments.directory.resolve(), console=console
        )
    except InterruptedBySignalError as interrupted:
        console.print("\nInterrupted; everything that was started is stopped.")
        return interrupted.exit_code
    except (DeploymentError, EmbeddedPostgresError, EmulatorError, SettingsError, psycopg2.Error) as failure:
        console.print(f"\n[bold red]The game day could not be held.[/bold red] {escape(str(failure))}", highlight=False)
        return 1
    return int(any(row.failures for row in rows))


def run(faults: Sequence[Fault], *, healthy_s: float, directory: Path, console: Console) -> list[Row]:
    """Play a healthy run and every given fault; return a row for each."""
    started_s = time.monotonic()

    def report(text: str) -> None:
        passed_s = time.monotonic() - started_s
        console.print(f"{passed_s:5.0f} s  {text}", markup=False, highlight=False, soft_wrap=True)

    rows: list[Row] = []
    with game_day(directory, report=report) as (scene, watch):
        if healthy_s:
            rows.append(play_healthy(int(healthy_s / TICK_S), scene, watch, report))
        rows.extend(play(fault, scene, watch, report) for fault in faults)
    show(console, rows, watch)
    REPORT_FILE.parent.mkdir(exist_ok=True)
    REPORT_FILE.write_text(markdown(rows, watch))
    recorded = {"minutes": watch.minute, "states": watch.states, "series": watch.store.dump()}
    METRICS_FILE.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
    report(f"also in {REPORT_FILE.relative_to(ROOT)}; {sum(bool(row.failures) for row in rows)} of {len(rows)} failed")
    return rows


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.gameday", description="Play faults and check what finds them.")
    names = [make().name for make in FAULTS]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="FAULT", help="this fault only; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument(
        "--healthy-seconds",
        type=float,
        default=HEALTHY_S,
        metavar="S",
        help=f"of the healthy run; 0: none ({HEALTHY_S})",
    )
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where state and logs go (build/gameday)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
