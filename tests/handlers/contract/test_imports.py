"""Every side imports the contract, so it needs nothing that would have to be installed."""

import subprocess
import sys

from stacks import ROOT


def test_the_contract_needs_the_standard_library_only() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "handlers" / "contract").rglob("*.py")
    ]
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name.removesuffix('.__init__'))"
    # -S leaves out installed packages.
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
