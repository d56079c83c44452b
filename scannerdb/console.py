"""The entry point of `scannerdb`: which project it works on, before anything that depends on it is imported."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import stacks

INTERRUPTED = 130
PROJECT_OPTION = "--project"
PROJECT_VARIABLE = "SCANNERDB_PROJECT"


def chosen_project(arguments: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Return the folder that `--project` in front of the command names, else SCANNERDB_PROJECT; `None` for neither."""
    options = iter(arguments)
    for each in options:
        if not each.startswith("-"):
            break
        name, given, value = each.partition("=")
        if name == PROJECT_OPTION:
            return value if given else next(options, None)
    return environ.get(PROJECT_VARIABLE) or None


def command() -> NoReturn:
    """Run the command line on the project that is chosen; without a choice, on the checkout that holds the code."""
    if (chosen := chosen_project(sys.argv[1:], os.environ)) is not None:
        folder = Path(chosen).expanduser().resolve()
        if missing := [name for name in ("environments", "migrations") if not (folder / name).is_dir()]:
            sys.exit(
                f"scannerdb: the project {folder} holds no folder {' and no folder '.join(missing)}; name a checkout "
                f"with {PROJECT_OPTION} DIR or {PROJECT_VARIABLE}"
            )
        stacks.ROOT = folder
        # For the commands that `scannerdb tunnel` starts.
        os.environ[PROJECT_VARIABLE] = str(folder)
    try:
        from scannerdb import main  # noqa: PLC0415 - its modules take stacks.ROOT when they are imported

        main.command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
