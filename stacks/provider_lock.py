"""The version of the AWS provider that each deployment gets: `.terraform.lock.hcl` beside main.py.

Terraform looks for the lock in the folder that it runs in. cdktf has such a folder for each stack, and copies no lock
into it.
"""

import shutil
from pathlib import Path

from stacks import ROOT

LOCK = ROOT / ".terraform.lock.hcl"


def lock_provider(stack: Path, provider_version: str) -> None:
    """Put the lock into a stack's folder where it was made for the versions that the settings allow.

    Other versions, such as those of an emulator, are not locked; a lock that is left from before would be in their way.
    """
    made_for = f'constraints = "{provider_version}"'
    lock = stack / LOCK.name
    if made_for in LOCK.read_text():
        shutil.copyfile(LOCK, lock)
    elif lock.is_file() and made_for not in lock.read_text():
        lock.unlink()
