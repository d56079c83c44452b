"""Thousands of generated requests, right and wrong: the HTTP API answers each as docs/openapi.yaml defines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from handlers import status
from handlers.connection import Database
from stacks import ROOT
from tests.support.openapi import PATH
from tests.support.served_api import ServedApi
from tests.support.step_functions import EXECUTION, StepFunctions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.database import TestDatabase

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
# API Gateway answers a method without a route by 404, and a request without a signature by 403; these checks know only
# 405 and 401. That unsigned requests are refused is checked by `ignored_auth`, which stays on.
EXCLUDED = "unsupported_method,missing_required_header"


@pytest.fixture
def jobs(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few jobs of each kind, some with executions."""
    monkeypatch.setattr(status, "database", Database(database.variables("progress_reader"), query_timeout_s=3))
    step_functions = StepFunctions(monkeypatch)
    for number, objects in enumerate([{}, {"queued": 1}, {"succeeded": 2}] * 4):
        job_id = database.add_job(objects)
        arn = f"{EXECUTION}{number}"
        if number % 2:
            database.query("UPDATE jobs SET execution_arn = %s WHERE job_id = %s", (arn, job_id))
        step_functions.states[arn] = ("RUNNING", "SUCCEEDED", "FAILED", "ABORTED")[number % 4]
    database.query("SELECT refresh_job_progress()")


@pytest.mark.slow
def test_generated_requests_are_answered_as_defined(jobs: None, tmp_path: Path) -> None:
    with ServedApi() as api:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(PATH), "--url", api.url),
            *("--max-examples", str(EXAMPLES), "--exclude-checks", EXCLUDED, "--suppress-health-check", "all"),
        ]
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.support.generated_requests",
            "PYTHONPATH": str(ROOT),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path),
        }
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    (generated,) = re.findall(r"([0-9,]+) generated", done.stdout)
    # A run that sends next to nothing, such as one whose signatures are refused, proves nothing.
    assert int(generated.replace(",", "")) > 3 * EXAMPLES
    assert len([request for request in api.requests if request.startswith("/jobs/")]) > EXAMPLES
