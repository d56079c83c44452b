"""Ends whole trees of processes, and turns signals into an exception so that this process cleans up."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedBySignalError(BaseException):
    """A signal asked this process to end, such as Ctrl-C. A BaseException, so `except Exception` lets it pass."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def raise_on_signals() -> None:
    """Raise an exception at the first signal that asks this process to end, and ignore later ones.

    So a second Ctrl-C does not interrupt the clean-up.
    """

    def interrupt(number: int, _frame: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise InterruptedBySignalError(number)

    for each in SIGNALS:
        signal.signal(each, interrupt)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore the signals that ask this process to end, for a block that cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def end_tree(process: "subprocess.Popen[str]") -> None:
    """Kill a process and its descendants, and wait for it; does nothing when it has ended.

    cdktf runs Terraform in another session, so a signal to the process group would not reach it. Each process is
    stopped before its children are listed, so that it cannot start another unseen. SIGKILL is safe here: these
    processes work on an emulator that ends with them.
    """
    if process.poll() is not None:
        return
    stopped: set[int] = set()
    while running := {process.pid, *descendants(process.pid)} - stopped:
        for pid in running:
            _signal(pid, signal.SIGSTOP)
        stopped |= running
    for pid in stopped:
        _signal(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> set[int]:
    """Return the descendants of a process."""
    parents = _parents()
    found = {child for child, parent in parents.items() if parent == pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _parents() -> dict[int, int]:
    """Return the parent of every process on this machine."""
    if not (PROC / "self" / "stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return {int(line.split()[0]): int(line.split()[1]) for line in listed.splitlines()}
    parents = {}
    for stat in PROC.glob("[0-9]*/stat"):
        # A process may end while it is read. Its name, in parentheses, may contain any character.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents
