"""CDK Terrain, installed, and a copy of the code that imports it instead of cdktf."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import uv

from stacks import ROOT

LOCK = Path(__file__).with_name("requirements.lock")
# What moving takes.
RENAMES = {
    r"\bcdktf_cdktf_provider_aws\b": "cdktn_provider_aws",
    r"^(\s*)(from|import) cdktf\b": r"\1\2 cdktn",
}
CODE = (
    "main.py",
    "stacks",
    "handlers",
    "migrations",
    "environments",
    ".terraform.lock.hcl",
)
# Shared with the copy: packages that are built from the same files are the same, and take long.
SHARED = ("node_modules", "build")
# In front of the packages of the same names: an import that the renames missed must not find cdktf.
FORGOTTEN = 'raise ImportError("{name} is still imported: lab/exit_test/fork.py renames the imports")\n'


def renamed(code: str) -> str:
    """Return Python code that imports CDK Terrain where it imported cdktf."""
    for old, new in RENAMES.items():
        code = re.sub(old, new, code, flags=re.MULTILINE)
    return code


def copy_code(target: Path, *, root: Path = ROOT) -> None:
    """Copy what a synthesis reads, with the imports renamed."""
    for name in CODE:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for name in SHARED:
        (target / name).symlink_to(root / name)
    for file in (target / "main.py", *(target / "stacks").rglob("*.py")):
        file.write_text(renamed(file.read_text()))


def install(target: Path) -> None:
    """Install what the lock file names, and nothing else, for this interpreter.

    Raises:
        subprocess.CalledProcessError: a package cannot be had, or is not the one whose hash is locked.

    """
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*command, "--python", sys.executable, "--target", str(target), "-r", str(LOCK)], check=True)
    for name in ("cdktf", "cdktf_cdktf_provider_aws"):
        (target / f"{name}.py").write_text(FORGOTTEN.format(name=name))
