"""Starts moto in a process of its own; unpatched, it is an empty AWS account: enough for a plan's data sources."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from scannerdb.project import project_python
from stacks import ROOT

END_TIMEOUT_S = 10
_EMPTY = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


def start_server(
    command: Sequence[str],
    *,
    configuration: Any = None,
    environment: Mapping[str, str] | None = None,
    log: IO[Any] | int = subprocess.DEVNULL,
) -> "tuple[subprocess.Popen[str], Any]":
    """Start a server process; return it, and what it answers once it serves: `None` when it ended instead.

    Args:
        command: reads `configuration` and prints its answer, each as one line of JSON on standard input and output.
            It ends when standard input closes, so it never outlives the process that started it.
        configuration: any JSON value.
        environment: variables beside those of this process.
        log: receives its standard error.

    """
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(configuration) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    return process, json.loads(answer) if answer else None


def stop_server(process: "subprocess.Popen[str]") -> None:
    """End a server process and wait for it."""
    try:
        process.communicate(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def empty_emulator() -> Iterator[str]:
    """Start moto on loopback and yield its address."""
    process, port = start_server([str(project_python()), "-c", _EMPTY])
    try:
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        stop_server(process)
