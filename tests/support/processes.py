"""Waiting for processes and facts; processes that are stopped or interrupted."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator


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
