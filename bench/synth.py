"""How long synthesis takes, against importing the provider's bindings as its documentation says.

Both in fresh interpreters, side by side in one run: first without cached bytecode, as in a fresh clone, then with it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAIN_IMPORT = ("-c", "import cdktf_cdktf_provider_aws")
WHOLE_SYNTHESIS = ("main.py",)
REPEATED = 3


def seconds(arguments: tuple[str, ...], *, bytecode: Path, outdir: Path) -> float:
    """Run Python once in a fresh interpreter and return the wall time in seconds."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("SCANNER_")
    }
    environment = kept | {"PYTHONPYCACHEPREFIX": str(bytecode), "CDKTF_OUTDIR": str(outdir)}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, check=False)
    elapsed_s = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stderr.decode())
    return elapsed_s


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        bytecode, outdir = Path(temporary, "bytecode"), Path(temporary, "cdktf.out")

        def measure(what: str, arguments: tuple[str, ...]) -> list[float]:
            times = []
            for number in range(1 + REPEATED):
                print(f"{what}, run {number + 1} of {1 + REPEATED} ...", file=sys.stderr)
                times.append(seconds(arguments, bytecode=bytecode, outdir=outdir))
            return times

        # Once for the packages and for jsii's own cache, which both sides use.
        print("Filling the caches that both share ...", file=sys.stderr)
        seconds(WHOLE_SYNTHESIS, bytecode=Path(temporary, "other"), outdir=outdir)
        ours = measure("main.py", WHOLE_SYNTHESIS)
        # Its own cache: what our run compiled would help it.
        bytecode = Path(temporary, "bytecode of the plain import")
        plain = measure("plain import", PLAIN_IMPORT)

    print("| bytecode | plain import of the bindings | all of main.py | share |")
    print("|---|---|---|---|")
    for label, plain_s, ours_s in (
        ("none yet", plain[0], ours[0]),
        (f"cached (median of {REPEATED})", statistics.median(plain[1:]), statistics.median(ours[1:])),
    ):
        print(f"| {label} | {plain_s:.1f} s | {ours_s:.1f} s | {ours_s / plain_s:.0%} |")


if __name__ == "__main__":
    main()
