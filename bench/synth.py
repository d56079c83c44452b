"""How long synthesis takes, against importing the provider's bindings as its documentation says.

Both in fresh interpreters, side by side in one run: first without bytecode, as in a container that may not write any,
then with it. The share is of CPU time, which other work on the machine changes least.
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

ROOT = Path(__file__).resolve().parent.parent
PLAIN_IMPORT = ("-c", "import cdktf_cdktf_provider_aws")
WHOLE_SYNTHESIS = ("main.py",)
REPEATED = 3


@dataclass(frozen=True)
class Time:
    """Seconds on the clock, and of CPU in the process and its children."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        """Return both, for a table."""
        return f"{self.wall_s:.1f} s ({self.cpu_s:.1f} s)"


def run(arguments: tuple[str, ...], *, bytecode: Path, outdir: Path) -> Time:
    """Run Python once in a fresh interpreter that keeps its bytecode in a folder of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("SCANNER_")
    }
    environment = kept | {"PYTHONPYCACHEPREFIX": str(bytecode), "CDKTF_OUTDIR": str(outdir)}
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

        def measure(what: str, arguments: tuple[str, ...]) -> list[Time]:
            times = []
            for number in range(1 + REPEATED):
                print(f"{what}, run {number + 1} of {1 + REPEATED} ...", file=sys.stderr)
                times.append(run(arguments, bytecode=Path(temporary, what), outdir=outdir))
            return times

        # Once for the packages and for jsii's own cache, which both sides use.
        print("Filling the caches that both share ...", file=sys.stderr)
        run(WHOLE_SYNTHESIS, bytecode=Path(temporary, "unused"), outdir=outdir)
        ours = measure("main.py", WHOLE_SYNTHESIS)
        plain = measure("plain import", PLAIN_IMPORT)

    print("| bytecode | plain import of the bindings (CPU) | all of main.py (CPU) | share of CPU |")
    print("|---|---|---|---|")
    for label, theirs, own in (
        ("none", plain[0], ours[0]),
        (f"cached (median of {REPEATED})", median(plain[1:]), median(ours[1:])),
    ):
        print(f"| {label} | {theirs} | {own} | {own.cpu_s / theirs.cpu_s:.0%} |")


if __name__ == "__main__":
    main()
