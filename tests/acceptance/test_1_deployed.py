"""What `cdktf deploy` left behind works, and Terraform agrees that it is all there."""

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid

import pytest

from lab.deployment import changes
from tests.acceptance.conftest import OBJECTS, Deployed


def test_no_other_process_deploys_the_same_once_more(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@acceptance"), "pytest-xdist needs --dist loadgroup"


def test_the_apply_ran_the_migrations(deployed: Deployed) -> None:
    added = int(deployed.summary.split()[0])
    assert added > 150
    names = [name for (name,) in deployed.query("SELECT matviewname FROM pg_matviews WHERE schemaname = 'public'")]
    assert names == ["job_progress"]


def test_the_deploy_ended_with_a_refresh_so_that_no_alarm_misses_the_first(deployed: Deployed) -> None:
    group = f"/aws/lambda/{deployed.deployment.function_name('refresh')}"
    events = deployed.deployment.emulator.client("logs").filter_log_events(logGroupName=group)["events"]
    lines = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
    # Nobody had written a job; the scan came after the deploy, and a refresh after the scan.
    assert [line["jobs"] for line in lines if line.get("message") == "refreshed"][:2] == [0, len(deployed.jobs)]


def test_the_outage_watches_alarms_that_are_deployed_and_rings_alone(deployed: Deployed) -> None:
    cloudwatch = deployed.deployment.emulator.client("cloudwatch")
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    (outage,) = [alarm for page in pages for alarm in page["CompositeAlarms"]]
    watched = set(re.findall(r'ALARM\("([^"]+)"\)', outage["AlarmRule"]))
    assert watched == {alarm["AlarmName"] for alarm in alarms if not alarm["AlarmActions"]}
    assert [arn.rpartition(":")[2] for arn in outage["AlarmActions"]] == ["scanner-database-local-page"]
    told = {arn for alarm in alarms for arn in (*alarm["AlarmActions"], *alarm["OKActions"])}
    assert [arn.rpartition(":")[2] for arn in told] == ["scanner-database-local-ticket"]


def test_the_dashboard_and_the_saved_queries_are_there(deployed: Deployed) -> None:
    emulator = deployed.deployment.emulator
    dashboard = emulator.client("cloudwatch").get_dashboard(DashboardName="scanner-database-local")
    pages, tickets = [each for each in json.loads(dashboard["DashboardBody"])["widgets"] if each["type"] == "alarm"]
    assert pages["properties"]["alarms"][0].endswith(":alarm:scanner-database-local-outage")
    assert len(tickets["properties"]["alarms"]) > 30
    saved = emulator.client("logs").describe_query_definitions(queryDefinitionNamePrefix="scanner-database-local/")
    assert len(saved["queryDefinitions"]) == 6


def test_doctor_examines_the_database_through_lambda(deployed: Deployed) -> None:
    function = deployed.deployment.function_name("doctor")
    for event in ({}, {"alarm": "progress-stale"}):
        result = deployed.deployment.emulator.invoke(function, event)
        assert result["state"] in {"ok", "warning"}
        assert result["findings"]
        assert {"check", "state", "value", "why", "next"} <= result["findings"][0].keys()


def test_a_refresh_through_lambda_counts_everything(deployed: Deployed) -> None:
    function = deployed.deployment.function_name("refresh")
    result = deployed.deployment.emulator.invoke(function, {"source": "schedule"})
    assert result["refreshed"] is True
    assert (result["jobs"], result["objects"]) == (len(deployed.jobs), OBJECTS)


def test_the_status_of_an_old_job_is_the_refreshed_row(deployed: Deployed) -> None:
    job = deployed.jobs[0]
    answer = deployed.get(f"/jobs/{job.job_id}")
    assert answer.status_code == 200
    assert answer.body["data_source"] == "cached"
    assert (answer.body["total"], answer.body["succeeded"] + answer.body["failed"]) == (job.objects, job.done)
    assert answer.body["cache_refreshed_at"].endswith("+00:00")


def test_the_status_of_a_young_job_is_counted_now(deployed: Deployed) -> None:
    job = deployed.jobs[-1]
    answer = deployed.get(f"/jobs/{job.job_id}")
    assert (answer.status_code, answer.body["data_source"], answer.body["total"]) == (200, "real_time", job.objects)


def test_lists_and_statistics_are_served(deployed: Deployed) -> None:
    running = [job for job in deployed.jobs if job.done < job.objects]
    listed = deployed.get("/jobs?state=active")
    assert listed.status_code == 200
    assert {job["job_id"] for job in listed.body["jobs"]} == {str(job.job_id) for job in running}
    statistics = deployed.get("/statistics")
    assert (statistics.status_code, statistics.body["total_objects_all_jobs"]) == (200, OBJECTS)


def test_what_is_no_job_is_refused_by_name(deployed: Deployed) -> None:
    malformed = deployed.get("/jobs/not-a-uuid")
    assert (malformed.status_code, malformed.body["error"]) == (400, "invalid_job_id")
    unknown = deployed.get(f"/jobs/{uuid.uuid4()}")
    assert (unknown.status_code, unknown.body["error"]) == (404, "job_not_found")


def test_an_unsigned_request_is_forbidden(deployed: Deployed) -> None:
    url = f"{deployed.deployment.emulator.api_url}/jobs/{deployed.jobs[0].job_id}"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url, timeout=10)


def test_a_stopped_database_is_503_within_three_seconds_and_200_once_it_is_back(deployed: Deployed) -> None:
    path = f"/jobs/{deployed.jobs[0].job_id}"
    assert deployed.get(path).status_code == 200
    deployed.deployment.postgres.stop(immediate=True)
    try:
        started = time.monotonic()
        answer = deployed.get(path)
        assert time.monotonic() - started < 3
    finally:
        deployed.deployment.postgres.start()
    assert (answer.status_code, answer.body["error"]) == (503, "database_unavailable")
    assert int({name.lower(): value for name, value in answer.headers.items()}["retry-after"]) > 0
    assert deployed.get(path).status_code == 200


def test_no_password_is_in_state_plan_or_logs(deployed: Deployed) -> None:
    directory = deployed.deployment.directory
    password = deployed.deployment.postgres.password.encode()
    files = [
        directory / "terraform.tfstate",
        *(directory / "cdktf.out").rglob("*.json"),
        *(directory / "logs").iterdir(),
    ]
    assert len(files) > 5
    assert [file for file in files if password in file.read_bytes()] == []


def test_a_second_plan_changes_nothing(deployed: Deployed) -> None:
    assert changes(deployed.deployment.plan(deployed.provider)) == []
