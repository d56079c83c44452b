"""Waiting for processes and facts; processes that are stopped or interrupted; what is made once in a run."""

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def is_running(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], object], *, timeout_s: float = 20) -> None:
    """Wait until the condition holds; fail the test when it does not within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {timeout_s} s"
        time.sleep(0.05)


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Stop processes (SIGSTOP) for a block: the kernel goes on answering for their sockets, they do not."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def interrupted(*, after_s: float) -> Iterator[None]:
    """Send this process what Ctrl-C sends, after a while."""
    timer = threading.Timer(after_s, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder of this run; the first of its processes that asks for it lets `make` fill it."""
    base = factory.getbasetemp()
    # pytest-xdist gives each process a folder in that of the run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    filled = folder.with_name(f"{name}.filled")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not filled.exists():
            make(folder)
            filled.touch()
    return folder
