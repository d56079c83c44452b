"""A libpq password file for one login, readable by its owner only; so no password is printed or in a variable."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def passfile() -> Iterator[Path]:
    """Yield the path of a file in a folder that is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="scannerdb-") as folder:
        yield Path(folder) / "pgpass"


def write_password(path: Path, *, host: str, port: int, user: str, password: str) -> None:
    """Write or replace the password atomically: a reader gets the old one or the new one."""
    fields = (host, str(port), "*", user, password)
    line = ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields)
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{line}\n")
    part.replace(path)
