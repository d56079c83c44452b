"""The demo as a user runs it: what it prints, what it refuses, and that no process outlives it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.processes import descendants
from scannerdb import terraform
from tests.support.processes import is_running, wait_until

pytestmark = pytest.mark.deployment

NO_PROVIDER = {"SCANNER_PROVIDER_MIRROR": "/nowhere"}
DEMO = [sys.executable, "-m", "lab.demo"]


@contextmanager
def running_demo(*arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [*DEMO, *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "100", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    pytest.fail(f"{text!r} was not printed:\n{read}")


def assert_interrupting_stops_everything(process: "subprocess.Popen[str]", number: signal.Signals) -> str:
    started = descendants(process.pid)
    assert started
    process.send_signal(number)
    assert process.stdout is not None
    rest = process.stdout.read()
    process.wait(timeout=30)
    wait_until(lambda: not any(is_running(pid) for pid in started))
    return rest


@pytest.mark.parametrize("objects", ["abc", "19", "-5", "1_000", "1e6", "100000001"])
def test_a_wrong_number_of_objects_is_refused_with_what_is_allowed(objects: str) -> None:
    done = subprocess.run([*DEMO, f"--objects={objects}"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"'{objects}' is not allowed; give a whole number from 20" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_told_by_name_and_nothing_is_started(tmp_path: Path) -> None:
    with running_demo("--directory", str(tmp_path), SCANNER__DATABASE__MULTI_AZ="perhaps") as process:
        assert process.stdout is not None
        output = process.stdout.read()
    assert process.returncode == 1
    assert "SCANNER__DATABASE__MULTI_AZ" in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_without_a_provider_it_says_what_it_skips_and_prints_the_same_table(tmp_path: Path) -> None:
    with running_demo("--objects", "2000", "--directory", str(tmp_path), **NO_PROVIDER) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        process.wait()
    assert process.returncode == 0, output
    assert "Terraform is SKIPPED: SCANNER_PROVIDER_MIRROR=/nowhere holds no" in output
    assert "applied: 001_create_scanner_tables.sql" in output
    assert "20 jobs and 2,000 objects in" in output
    assert "->  200" in output
    for row in ("count rows, no index", "count rows, composite index", "row of job_progress", "GET /jobs/{job_id}"):
        assert f"│ {row}" in output
    assert "The plan was NOT applied by Terraform" in output


def test_kept_running_it_answers_keeps_others_out_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    arguments = ("--objects", "2000", "--directory", str(tmp_path))
    with running_demo(*arguments, "--keep", **NO_PROVIDER) as process:
        read_until(process, "Still running; Ctrl-C stops everything.")
        curl = read_until(process, "curl ").splitlines()[-1]
        answer = subprocess.run(curl + " -sS", shell=True, capture_output=True, text=True, check=True).stdout
        assert '"data_source":"cached"' in answer

        second = subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"{tmp_path} is in use by process {process.pid}" in second.stdout
        assert subprocess.run(curl + " -sS", shell=True, capture_output=True, check=True).stdout

        read_until(process, "psql ")
        shown = read_until(process, " status").splitlines()
        source, status = (line.strip() for line in shown[-2:])
        assert source == f"source {tmp_path}/env"
        # As printed, in a shell that has the credentials of an account.
        printed = subprocess.run(
            ["bash", "-euc", f'{source}; echo "${{AWS_PROFILE:-no profile}}"; {status}'],
            env={**os.environ, "AWS_PROFILE": "prod"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert printed.startswith("no profile\n")
        assert "active" in printed
        rest = assert_interrupting_stops_everything(process, signal.SIGINT)
    assert process.returncode == 0
    assert "Everything is stopped again." in rest
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in {"postgresql", "env"}) == []


def test_terminated_while_it_scans_it_leaves_no_process_behind(tmp_path: Path) -> None:
    with running_demo("--objects", "1000000", "--directory", str(tmp_path), **NO_PROVIDER) as process:
        read_until(process, "Scan: write 1,000,000 objects")
        rest = assert_interrupting_stops_everything(process, signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Interrupted; everything that was started is stopped." in rest
    assert "Traceback" not in rest


def test_interrupted_while_terraform_applies_it_leaves_no_process_behind(tmp_path: Path) -> None:
    provider = terraform.find_provider()
    if isinstance(provider, terraform.NoProvider):
        pytest.skip(provider.reason)
    with running_demo("--directory", str(tmp_path)) as process:
        read_until(process, "planned: ")
        rest = assert_interrupting_stops_everything(process, signal.SIGINT)
    assert process.returncode == 128 + signal.SIGINT
    assert "Interrupted; everything that was started is stopped." in rest
