"""Ending what was started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.processes import end_tree
from tests.support.processes import is_running, wait_until

# A child in a session of its own, as cdktf starts Terraform, with a child of its own, as Terraform starts its provider.
TREE = """
import pathlib, subprocess, sys, time
depth, folder = int(sys.argv[2]), pathlib.Path(sys.argv[3])
(folder / f"pid{depth}").write_text(str(__import__("os").getpid()))
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1], str(depth - 1), str(folder)],
                     start_new_session=True)
time.sleep(60)
"""


def start_tree(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", TREE, TREE, "2", str(folder)], text=True, start_new_session=True)


def pids(folder: Path) -> list[int]:
    return [int(path.read_text() or 0) for path in sorted(folder.glob("pid*"))]


def test_a_whole_tree_ends_although_each_process_has_a_session_of_its_own(tmp_path: Path) -> None:
    process = start_tree(tmp_path)
    wait_until(lambda: len(pids(tmp_path)) == 3 and all(pids(tmp_path)))
    assert all(is_running(pid) for pid in pids(tmp_path))
    end_tree(process)
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not any(is_running(pid) for pid in pids(tmp_path)))


def test_ending_a_tree_that_has_ended_does_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], text=True)
    process.wait()
    end_tree(process)
    assert process.returncode == 3


CLEANING = """
import sys, time
from lab.processes import InterruptedBySignalError, raise_on_signals, uninterrupted
raise_on_signals()
try:
    print("ready", flush=True)
    time.sleep(60)
except InterruptedBySignalError as interrupted:
    print("cleaning", flush=True)
    time.sleep(1)
    print("clean", flush=True)
    sys.exit(interrupted.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_starts_the_cleaning_and_a_second_does_not_cut_it_short(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", CLEANING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "clean\n"
    assert process.wait() == 128 + number
