"""`scannerdb retire` as a process of its own, for a test to kill: `retire_process.py DSN`."""

import sys

from handlers.progress.retirement import list_retirable, retire
from scannerdb.options import Session
from tests.support.retiring import AGE


def main(dsn: str) -> None:
    print("ready", flush=True)
    session = Session(dsn)
    for _ in retire(session, list_retirable(session, AGE), AGE):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
