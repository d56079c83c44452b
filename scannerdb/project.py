"""What a command needs of the project: its Python with the tools that synthesise and check a stack."""

import sys
from pathlib import Path

from scannerdb.review.terraform_errors import PlanningError
from stacks import CODE, ROOT


def project_python() -> Path:
    """Return the interpreter that has cdktf, moto and checkov: this one in a checkout, else the project's own.

    Raises:
        PlanningError: the project was not set up.

    """
    if ROOT == CODE and (ROOT / "main.py").exists():
        return Path(sys.executable)
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        raise PlanningError(
            f"{python} does not exist, and an installed scannerdb has no cdktf; run `make setup` in a checkout, and "
            "name it with --project"
        )
    return python
