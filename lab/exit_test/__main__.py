"""Synthesises each environment under cdktf and under CDK Terrain; exit code 1 and the difference, if there is one."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lab.exit_test.compare import difference, read_stack
from lab.exit_test.fork import copy_code, install
from stacks import ROOT
from stacks.settings import environment_files

DIRECTORY = ROOT / "build" / "exit"


def main() -> int:
    """Compare, and print a line for each environment."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    packages, code = DIRECTORY / "packages", DIRECTORY / "code"
    environments = list(environment_files(ROOT / "environments"))
    try:
        install(packages)
        copy_code(code)
        outputs = {"cdktf": DIRECTORY / "cdktf", "CDK Terrain": DIRECTORY / "cdktn"}
        _synthesise(ROOT, outputs["cdktf"], environments)
        _synthesise(code, outputs["CDK Terrain"], environments, PYTHONPATH=str(packages))
    except subprocess.CalledProcessError as failed:
        print(f"exit code {failed.returncode} of {' '.join(map(str, failed.cmd))}", file=sys.stderr)
        return 1
    differs = False
    for environment in environments:
        files = [folder / "stacks" / environment / "cdk.tf.json" for folder in outputs.values()]
        one, other = read_stack(files[0], ROOT), read_stack(files[1], code)
        lines = difference(one, other, names=("cdktf", "CDK Terrain"))
        differs |= bool(lines)
        resources = sum(len(named) for named in one["resource"].values())
        print(f"{environment}: {'DIFFERS' if lines else 'the same JSON'}, {resources} resources", *lines, sep="\n")
    fork = " and ".join(_versions(packages))
    print(f"cdktf {importlib.metadata.version('cdktf')} against {fork}: {'not the same' if differs else 'the same'}")
    return int(differs)


def _synthesise(root: Path, output: Path, environments: list[str], **variables: str) -> None:
    # Variables of the caller that override settings would only blur the comparison.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SCANNER_", "CDKTF_"))}
    chosen = {"SCANNER_ENVIRONMENTS": ",".join(environments), "CDKTF_OUTDIR": str(output)}
    subprocess.run([sys.executable, "main.py"], cwd=root, env=clean | chosen | variables, check=True)


def _versions(packages: Path) -> list[str]:
    found = importlib.metadata.distributions(path=[str(packages)])
    return sorted(f"{each.name} {each.version}" for each in found if each.name.startswith("cdktn"))


if __name__ == "__main__":
    sys.exit(main())
