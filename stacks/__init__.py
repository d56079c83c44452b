"""Settings in, Terraform JSON out: one stack per environment."""

from pathlib import Path

# The folder of the repository.
ROOT = Path(__file__).resolve().parent.parent
