"""Write Terraform JSON for each environment to cdktf.out/; `cdktf` runs this file.

SCANNER_ENVIRONMENTS=local,dev chooses; without it, every environment that deploys to AWS and not to an emulator.
"""

import os
import sys
from pathlib import Path

from stacks.assets.package import PackageError
from stacks.disk_errors import disk_problem
from stacks.settings import Settings, SettingsError, environment_files, load_settings, refuse_shared_states

ENVIRONMENTS = Path(__file__).resolve().parent / "environments"


def chosen_settings() -> list[Settings]:
    """Return the settings of each environment to synthesise.

    Raises:
        SettingsError: a value is wrong, an environment is unknown, none is left, or two have one state.

    """
    chosen = _chosen()
    refuse_shared_states(chosen)
    return chosen


def _chosen() -> list[Settings]:
    if names := os.environ.get("SCANNER_ENVIRONMENTS"):
        return [load_settings(ENVIRONMENTS / f"{name.strip()}.toml") for name in names.split(",")]
    every = [load_settings(path) for path in environment_files(ENVIRONMENTS).values()]
    if chosen := [settings for settings in every if settings.aws.endpoint is None]:
        return chosen
    raise SettingsError(f"every environment in {ENVIRONMENTS} has aws.endpoint; name one in SCANNER_ENVIRONMENTS")


def main() -> int:
    """Synthesise, or say what is wrong with the settings, a migration or a package."""
    try:
        environments = chosen_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        # Only now, so that a wrong setting is told in the blink of an eye.
        from stacks.synthesis import synthesise  # noqa: PLC0415

        synthesise(environments, os.environ.get("CDKTF_OUTDIR"))
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, RuntimeError) as error:
        if (problem := disk_problem(error)) is None:
            raise
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
