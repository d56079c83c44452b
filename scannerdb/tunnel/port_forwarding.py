"""Forwards a local port to a deployment's database: a Session Manager session through the bastion."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from scannerdb.errors import OperatorError

LOCALHOST = "127.0.0.1"
DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 5
INSTALL = {
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "session-manager-plugin": "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html",
}


def check_tools() -> None:
    """Check that the AWS CLI and its Session Manager plugin are installed.

    Raises:
        OperatorError: one is missing; the message links its installation page.

    """
    if missing := [
        f"{tool} is not on PATH; install it: {page}" for tool, page in INSTALL.items() if not _is_there(tool)
    ]:
        raise OperatorError("\n".join(missing))


@contextlib.contextmanager
def forwarded_port(*, region: str, bastion: str, host: str, port: int, local_port: int | None = None) -> Iterator[int]:
    """Hold a session open and yield the local port that it forwards to `host`.

    Args:
        region: of the bastion.
        bastion: its instance id.
        host: a name that the bastion can reach.
        port: of `host`.
        local_port: of this machine; `None`: a free one.

    Raises:
        OperatorError: the session does not start; the message holds the output of the AWS CLI.

    """
    chosen = local_port or _free_port()
    if local_port and _accepts(local_port):
        raise OperatorError(f"port {local_port} of this machine is in use; choose another one, or leave --port out")
    parameters = {"host": [host], "portNumber": [str(port)], "localPortNumber": [str(chosen)]}
    command = ["aws", "ssm", "start-session", "--region", region, "--target", bastion]
    command += ["--document-name", DOCUMENT, "--parameters", json.dumps(parameters)]
    with tempfile.TemporaryFile("w+") as said:
        # A process group of its own: Ctrl-C at the terminal must reach the command inside the tunnel only, and the
        # plugin, a child of `aws`, must end with it.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not _accepts(chosen):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise OperatorError(_why_not(said.read().strip(), bastion, ended=process.poll() is not None))
                time.sleep(0.1)
            yield chosen
        finally:
            _end(process)


def _why_not(said: str, bastion: str, *, ended: bool) -> str:
    reason = said or ("the AWS CLI printed nothing" if ended else f"no answer in {START_TIMEOUT_S} s")
    hint = ""
    if "TargetNotConnected" in said:
        hint = f"\nThe bastion {bastion} is not connected to Session Manager; is it running?"
    elif "credentials" in said.lower() or "token" in said.lower():
        hint = "\nLog in with `aws sso login`, or set AWS_PROFILE."
    return f"no session to the bastion {bastion}: {reason}{hint}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the session with SIGINT, so that it ends at AWS too; kill what is left."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
            break


def _is_there(tool: str) -> bool:
    return shutil.which(tool) is not None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOCALHOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port
