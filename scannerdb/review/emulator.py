"""An AWS that has nothing: enough for the data sources of a plan, so that a plan needs no account."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

# It answers until its standard input is closed, so it never outlives whoever started it.
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def empty_emulator() -> Iterator[str]:
    """Start one on loopback and yield its address."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()
