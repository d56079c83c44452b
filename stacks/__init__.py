"""Settings in, Terraform JSON out: one stack per environment."""

from pathlib import Path

# The folder that holds the code: a checkout, or where a wheel was installed.
CODE = Path(__file__).resolve().parent.parent
# The project: environments/, migrations/, build/ and paths of the settings. `scannerdb --project` names another one
# before the modules that take this are imported.
ROOT = CODE
