"""The life of one deployment, in the order of this file: what is deployed, what changes it, what takes it away.

What `cdktf deploy` left behind works, and Terraform agrees that it is all there. A broken migration fails the deploy
with its cause, leaves the database as it was, and can be mended. Settings change in place, and Terraform agrees again.
What was deployed can be taken away. No request on the way broke AWS's models, and nothing was denied.
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid

import pytest

from handlers.contract.names import FUNCTIONS
from handlers.contract.timeouts import PROXY_WAITS
from lab.deployment import DeploymentError, changes
from lab.emulator.access.decisions import Use
from tests.support.acceptance import OBJECTS, Deployed, broken_requests
from tests.support.access_uses import CODE_CALLS, needed, short_name
from tests.support.synthesis import Synthesised
from tests.support.synthesised_account import synthesised_account

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
# New settings; tests/acceptance/conftest.py has those of the first deploy.
UPDATED = {
    "SCANNER__ALARMS__EMAILS": '["second@example.com"]',
    "SCANNER__DATABASE__ALLOCATED_STORAGE_GIB": "30",
    "SCANNER__DATABASE__INSTANCE_CLASS": "db.t4g.medium",
    "SCANNER__FUNCTIONS__LOG_RETENTION_DAYS": "3",
    "SCANNER__STATUS_API__REQUESTS_PER_SECOND": "50",
    "SCANNER__TAGS__OWNER": "second",
    "SCANNER__TAGS__TEAM": "scanner",
}


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


def test_the_state_of_a_job_s_execution_is_asked_for(deployed: Deployed) -> None:
    execution_arn = _start_execution(deployed)
    job_id = uuid.uuid4()
    deployed.query(
        f"INSERT INTO jobs (job_id, bucket, execution_arn) VALUES ('{job_id}', 'b', '{execution_arn}') RETURNING 1"
    )
    answer = deployed.get(f"/jobs/{job_id}")
    # Without an answer of Step Functions the request succeeds too.
    assert (answer.status_code, answer.body["step_function_status"]) == (200, "RUNNING")


def test_services_of_aws_may_do_what_the_deployment_needs(deployed: Deployed) -> None:
    """Schedules that invoke, alarms and EventBridge that publish, Lambda that attaches and logs, among others."""
    assert deployed.deployment.emulator.check_services() == []


def test_the_test_of_each_permission_knows_all_that_is_done(deployed: Deployed, stacks: dict[str, Synthesised]) -> None:
    """tests/lab/access/test_taken_away.py decides on a list of calls; they are the ones that are made here."""
    done = {tuple(str(each["what"]).split(": ", 1)) for each in deployed.deployment.emulator.decisions()}
    actions = {(by, what.split()[0]) for by, what in done if not what.startswith("connect to ")}
    code = {
        (short_name(by), action) for by, action in actions if action.startswith(("s3:", "secretsmanager:", "states:"))
    }
    assert code == CODE_CALLS
    expected = needed(synthesised_account(stacks["local"]), "local")
    assert {action for _, action in actions} == {use.action for use in expected if isinstance(use, Use)}


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


def test_a_broken_migration_fails_the_deploy_with_its_cause_and_leaves_the_database(deployed: Deployed) -> None:
    before = deployed.query(CONTENT)
    migration = deployed.next_migration
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


def test_the_mended_migration_deploys_together_with_new_settings(deployed: Deployed) -> None:
    deployed.next_migration.write_text(MENDED)
    # One deploy for both: each takes a minute.
    deployed.deployment.overrides.update(UPDATED)
    del deployed.deployment.overrides["SCANNER__TAGS__PURPOSE"]
    deployed.deployment.deploy(deployed.provider)
    assert deployed.query("SELECT count(*) FROM scan_notes") == [(0,)]
    assert deployed.get(f"/jobs/{deployed.jobs[0].job_id}").status_code == 200


def test_the_instance_has_the_new_class_and_size(deployed: Deployed) -> None:
    (instance,) = deployed.deployment.emulator.client("rds").describe_db_instances()["DBInstances"]
    assert (instance["DBInstanceClass"], instance["AllocatedStorage"]) == ("db.t4g.medium", 30)


def test_the_api_has_the_new_throttle(deployed: Deployed) -> None:
    gateway = deployed.deployment.emulator.client("apigatewayv2")
    (api,) = gateway.get_apis()["Items"]
    limits = gateway.get_stage(ApiId=api["ApiId"], StageName="$default")["DefaultRouteSettings"]
    assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == (50, 100)


def test_every_log_has_the_new_retention(deployed: Deployed) -> None:
    groups = deployed.deployment.emulator.client("logs").describe_log_groups()["logGroups"]
    assert {group.get("retentionInDays") for group in groups} == {3}


def test_alarms_are_mailed_to_the_new_address_alone(deployed: Deployed) -> None:
    subscriptions = deployed.deployment.emulator.client("sns").list_subscriptions()["Subscriptions"]
    assert {each["Endpoint"] for each in subscriptions} == {"second@example.com"}


def test_tags_are_added_changed_and_removed(deployed: Deployed) -> None:
    client, tags = deployed.deployment.emulator.client, {}
    (instance,) = client("rds").describe_db_instances()["DBInstances"]
    tags["instance"] = {each["Key"]: each["Value"] for each in instance["TagList"]}
    (api,) = client("apigatewayv2").get_apis()["Items"]
    tags["api"] = api["Tags"]
    tags["stage"] = client("apigatewayv2").get_stage(ApiId=api["ApiId"], StageName="$default")["Tags"]
    function = client("lambda").get_function(FunctionName=deployed.deployment.function_name("status"))
    tags["function"] = function["Tags"]
    for name, found in tags.items():
        said = {key: value for key, value in found.items() if key in {"owner", "purpose", "team"}}
        assert said == {"owner": "second", "team": "scanner"}, name


def test_the_plan_after_the_new_settings_changes_nothing(deployed: Deployed) -> None:
    assert changes(deployed.deployment.plan(deployed.provider)) == []


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


def test_no_request_of_terraform_or_a_function_broke_a_model_of_aws(deployed: Deployed) -> None:
    assert broken_requests(deployed.deployment.emulator) == []


def test_nothing_was_denied_from_the_first_deploy_to_the_destroy(deployed: Deployed) -> None:
    emulator = deployed.deployment.emulator
    assert emulator.refusals() == []
    decisions = emulator.decisions()
    assert {short_name(str(each["by"])) for each in decisions if ": connect to " in str(each["what"])} == set(FUNCTIONS)


def _start_execution(deployed: Deployed) -> str:
    """Start an execution of a state machine whose name the settings allow; moto leaves it running."""
    states = deployed.deployment.emulator.client("stepfunctions")
    machine = states.create_state_machine(
        name=deployed.deployment.settings.status_api.state_machine.replace("*", "-lister"),
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/lister",
    )
    arn: str = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    return arn
