"""Times the synthesis against a plain import of the provider's bindings, as their documentation shows.

Both run alternately in fresh interpreters. First with the bytecode that `make setup` leaves, which is that of the
modules that main.py names; then with everything compiled. The share is of CPU time, because other work on the machine
changes it least.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from stacks import ROOT

PLAIN_IMPORT = ("-c", "import cdktf_cdktf_provider_aws")
WHOLE_SYNTHESIS = ("main.py",)
REPEATED = 3


@dataclass(frozen=True)
class Time:
    """Wall-clock seconds, and CPU seconds of the process and its children."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        """Return both, for a table."""
        return f"{self.wall_s:.1f} s ({self.cpu_s:.1f} s)"


def run(arguments: tuple[str, ...], *, outdir: Path, bytecode: Path | None = None) -> Time:
    """Run Python once in a fresh interpreter; with `bytecode` it writes bytecode there, else nowhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SCANNER_"))}
    chosen = {"PYTHONPYCACHEPREFIX": str(bytecode)} if bytecode else {"PYTHONDONTWRITEBYTECODE": "1"}
    environment = kept | chosen | {"CDKTF_OUTDIR": str(outdir)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, check=False)
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return Time(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def median(times: list[Time]) -> Time:
    """Return the median of each of the two."""
    return Time(statistics.median(one.wall_s for one in times), statistics.median(one.cpu_s for one in times))


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        outdir = Path(temporary, "cdktf.out")

        def compare(label: str, *, bytecode: Path | None) -> None:
            ways = {"main.py": WHOLE_SYNTHESIS, "plain import": PLAIN_IMPORT}
            times: dict[str, list[Time]] = {name: [] for name in ways}
            # The first run of each fills the caches and is left out.
            for number in range(1 + REPEATED):
                for name, arguments in ways.items():
                    print(f"{label}: {name}, run {number} of {REPEATED} ...", file=sys.stderr)
                    own_bytecode = bytecode / name if bytecode else None
                    times[name].append(run(arguments, outdir=outdir, bytecode=own_bytecode))
            own, theirs = (median(times[name][1:]) for name in ways)
            print(f"| {label} | {theirs} | {own} | {own.cpu_s / theirs.cpu_s:.0%} |", flush=True)

        print(f"| medians of {REPEATED} | plain import of the bindings (CPU) | all of main.py (CPU) | share of CPU |")
        print("|---|---|---|---|", flush=True)
        compare("as `make setup` leaves it", bytecode=None)
        compare("everything compiled", bytecode=Path(temporary, "bytecode"))


if __name__ == "__main__":
    main()
