"""A deployer as a process of its own, so that a test can kill it: `runner_process.py DSN FOLDER`."""

import sys
from pathlib import Path

import psycopg2

from handlers.migrator.runner import run
from handlers.migrator.session import RunLimits
from tests.conftest import build_release


def main(dsn: str, folder: str) -> None:
    def connect() -> "psycopg2.extensions.connection":
        connection = psycopg2.connect(dsn, application_name="migrate test")
        connection.autocommit = True
        return connection

    release = build_release(Path(folder))
    print("ready", flush=True)
    result = run(
        connect, release, limits=RunLimits(poll_interval_s=0.2), report=lambda message, **_: print(message, flush=True)
    )
    print(f"done {len(result.applied)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
