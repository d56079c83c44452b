"""Runs a benchmark on a server of its own and deletes the server's data afterwards."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.embedded_postgres import EmbeddedPostgres
from lab.processes import InterruptedBySignalError, raise_on_signals

PARAMETERS = {"shared_buffers": "1GB", "maintenance_work_mem": "256MB", "max_wal_size": "8GB"}
# For rows that are larger than the memory. Less WAL is kept, because the disk is nearly full of rows.
LARGE_PARAMETERS = {"shared_buffers": "4GB", "maintenance_work_mem": "1GB", "max_wal_size": "2GB"}


def run_on_own_server(
    folder: Path, run: Callable[[EmbeddedPostgres], None], *, parameters: Mapping[str, str] = PARAMETERS
) -> int:
    """Start a server, run the benchmark on it, and return the exit code, also after Ctrl-C.

    Args:
        folder: holds the server's data while it runs.
        run: the benchmark.
        parameters: of the server.

    """
    raise_on_signals()
    server = EmbeddedPostgres(folder / "postgres", parameters=parameters)
    server.discard()
    try:
        with server:
            os.environ["RDS_CA_BUNDLE"] = str(server.certificate_authority)
            run(server)
    except InterruptedBySignalError as interrupted:
        return interrupted.exit_code
    finally:
        server.discard()
    return 0
