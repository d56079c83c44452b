"""Jobs are retired on a schedule only where the settings say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.synthesis import Synthesised, read_stack, run_main

if TYPE_CHECKING:
    from pathlib import Path

SCHEDULE = "schedule_retire"


def test_no_environment_retires_jobs_by_itself(stack: Synthesised) -> None:
    assert SCHEDULE not in stack.every("aws_scheduler_schedule")


def test_a_setting_has_refresh_retire_jobs_at_night(tmp_path: Path) -> None:
    run_main("dev", outdir=tmp_path, variables={"SCANNER__SCHEDULE__RETIRE_OLDER_THAN_DAYS": "90"})
    schedule = read_stack(tmp_path, "dev").one("aws_scheduler_schedule", SCHEDULE)
    assert schedule["schedule_expression"] == "cron(7/10 0-2 * * ? *)"
    assert schedule["target"]["arn"] == "${aws_lambda_function.refresh_function.arn}"
    assert json.loads(schedule["target"]["input"]) == {"source": "schedule", "action": "retire", "older_than_days": 90}
