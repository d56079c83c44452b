"""The life of one deployment, in the order of this file: what is deployed, what changes it, what takes it away.

What `cdktf deploy` left behind works, and Terraform agrees that it is all there. A broken migration fails the deploy
with its cause, leaves the database as it was, and can be mended. What was deployed can be taken away.
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid

import pytest

from handlers.contract.timeouts import PROXY_WAITS
from lab.deployment import DeploymentError, changes
from tests.support.acceptance import OBJECTS, Deployed

pytestmark = pytest.mark.deployment

# Every table, view, index and function, and what the ledger says was applied.
CONTENT = """
SELECT format('%s %s', relkind, oid::regclass)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT oid::regprocedure::text
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT to_jsonb(applied)::text
FROM schema_migrations AS applied
ORDER BY 1
"""
DOWN = "DROP TABLE IF EXISTS scan_notes;\n"
MENDED = "CREATE TABLE scan_notes (job_id uuid PRIMARY KEY, note text NOT NULL);\n"
SYNTAX_ERROR = "CREATE TABEL scan_notes (job_id uuid PRIMARY KEY);\n"
# PostgreSQL's grammar takes it; only a database can tell that it is wrong. The first statement must not stay.
WRONG_COLUMN = "CREATE TABLE scan_notes (job_id uuid PRIMARY KEY);\n\nUPDATE jobs SET colour = 'red';\n"


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
    # The waits for the proxy, and the one that must succeed. The scan came after the deploy, and a refresh after it.
    by_deploy = [0] * (PROXY_WAITS + 1)
    refreshed = [line["jobs"] for line in lines if line.get("message") == "refreshed"]
    assert refreshed[: len(by_deploy) + 1] == [*by_deploy, len(deployed.jobs)]


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


def test_a_broken_migration_fails_the_deploy_and_the_mended_file_deploys(deployed: Deployed) -> None:
    before = deployed.query(CONTENT)
    number = max(int(file.name[:3]) for file in deployed.migrations.glob("[0-9][0-9][0-9]_*.sql")) + 1
    migration = deployed.migrations / f"{number:03}_add_scan_notes.sql"
    migration.with_suffix(".down.sql").write_text(DOWN)

    migration.write_text(SYNTAX_ERROR)
    with pytest.raises(DeploymentError) as refused:
        deployed.deployment.deploy(deployed.provider)
    for part in (migration.name, "CREATE TABEL scan_notes", 'syntax error at or near "TABEL"', "deploy.log"):
        assert part in str(refused.value)
    assert deployed.query(CONTENT) == before

    migration.write_text(WRONG_COLUMN)
    with pytest.raises(DeploymentError) as failed:
        deployed.deployment.deploy(deployed.provider)
    for part in (
        "scanner-database-local-migrate failed: MigrationFailedError",
        f"migrations/{migration.name}, line 3",
        'column "colour" of relation "jobs" does not exist',
        "UPDATE jobs SET colour = 'red'",
    ):
        assert part in str(failed.value)
    assert "Traceback" not in str(failed.value)
    assert deployed.query(CONTENT) == before

    migration.write_text(MENDED)
    deployed.deployment.deploy(deployed.provider)
    assert deployed.query("SELECT count(*) FROM scan_notes") == [(0,)]
    assert deployed.get(f"/jobs/{deployed.jobs[0].job_id}").status_code == 200


def test_destroy_leaves_no_function_no_database_and_no_state(deployed: Deployed) -> None:
    summary = deployed.deployment.destroy(deployed.provider)
    assert int(summary.split()[0]) > 150
    emulator = deployed.deployment.emulator
    assert emulator.client("lambda").list_functions()["Functions"] == []
    assert emulator.client("rds").describe_db_instances()["DBInstances"] == []
    assert emulator.client("logs").describe_query_definitions()["queryDefinitions"] == []
    alarms = emulator.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert alarms["MetricAlarms"] == alarms["CompositeAlarms"] == []
    state = json.loads((deployed.deployment.directory / "terraform.tfstate").read_text())
    assert state["resources"] == []
