"""`scannerdb partition` as a process of its own, for a test to kill: `partition_process.py DSN ACTION MODULUS`."""

import sys

import psycopg2

from scannerdb.partition import run
from scannerdb.partition.steps import Options
from tests.support.partitioning import LIMITS


def main(dsn: str, action: str, modulus: str) -> None:
    def connect() -> "psycopg2.extensions.connection":
        connection = psycopg2.connect(dsn, application_name="partition test")
        connection.autocommit = True
        return connection

    def say(message: str, **_fields: object) -> None:
        print(message, flush=True)

    print("ready", flush=True)
    if action == "revert":
        run.revert(connect, limits=LIMITS, report=say)
    elif action == "finish":
        run.finish(connect, limits=LIMITS, report=say)
    else:
        run.partition(connect, Options(modulus=int(modulus)), limits=LIMITS, report=say)


if __name__ == "__main__":
    main(*sys.argv[1:])
