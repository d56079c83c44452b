"""`scannerdb accept`: what a deployment does not do is told with the way out."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from scannerdb import signed_requests
from scannerdb.accept import api, command, plan, tunnel
from scannerdb.accept.alarms import ALARMS
from scannerdb.accept.api import API, REQUESTS
from scannerdb.accept.command import CHECKS
from scannerdb.accept.functions import FUNCTIONS
from scannerdb.accept.log_filters import LOG_FILTERS
from scannerdb.accept.messages import MESSAGES
from scannerdb.accept.plan import PLAN
from scannerdb.accept.schedule import SCHEDULE
from scannerdb.accept.tunnel import TUNNEL
from scannerdb.checks.clients import Clients
from scannerdb.checks.model import Check, Context
from scannerdb.checks.run import run
from scannerdb.review.planning import Planned
from scannerdb.review.terraform_errors import PlanningError
from scannerdb.signed_requests import Response
from stacks import ROOT
from stacks.settings import load_settings
from tests.support import well_deployment
from tests.support.command_line import scannerdb
from tests.support.deployed import BASTION
from tests.support.scripted_aws import ACCOUNT, DENIED, Refusal, ScriptedAws, payload
from tests.support.well_deployment import LOGINS, OUTPUTS, PREFIX, WELL, ago, alarms, context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lab.emulator.server import Emulator
    from scannerdb.checks.model import Answer
    from tests.support.deployed import Deployed
    from tests.support.synthesis import Synthesised


def answers(checks: Sequence[Check], script: dict[str, Any] | None = None) -> list[Answer]:
    return list(run(checks, context(script or {})))


def faults(found: list[Answer]) -> list[Answer]:
    return [answer for answer in found if answer.state != "ok"]


def respond(url: str, **_: Any) -> Response:
    """Answer as the API of a well deployment does."""
    signed = _.get("credentials") is not None
    if not signed:
        return Response(403, {}, {"message": "Forbidden"})
    return Response(404, {}, {"error": "job_not_found"}) if "/jobs/" in url else Response(200, {}, {})


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.parametrize(
    "checks", [SCHEDULE, FUNCTIONS, LOG_FILTERS, ALARMS, MESSAGES, TUNNEL[:1]], ids=lambda checks: checks[0].name
)
def test_of_a_well_deployment_every_question_is_answered_well(checks: Sequence[Check]) -> None:
    found = answers(checks)
    assert faults(found) == []
    assert {answer.check for answer in found} == {check.name for check in checks}


@pytest.mark.parametrize(
    ("checks", "script", "state", "told", "way_out"),
    [
        (
            SCHEDULE,
            {"scheduler.get_schedule": {"State": "DISABLED", "ScheduleExpression": "rate(1 minute)"}},
            "refused",
            "refresh: DISABLED, rate(1 minute)",
            "deploy again",
        ),
        (
            SCHEDULE,
            {
                "cloudwatch.get_metric_data": {
                    "MetricDataResults": [{"Id": f"m{number}", "Values": [], "Timestamps": []} for number in range(3)]
                }
            },
            "warning",
            "none in 3 min",
            "progress-stale",
        ),
        (
            SCHEDULE,
            {
                "cloudwatch.get_metric_data": {
                    "MetricDataResults": [
                        {"Id": f"m{number}", "Values": [2.0], "Timestamps": [ago(minutes=1)]} for number in range(3)
                    ]
                }
            },
            "refused",
            "TargetErrorCount 2, InvocationDroppedCount 2",
            "scannerdb doctor schedule-failing",
        ),
        (
            FUNCTIONS,
            {
                "lambda.invoke": lambda asked: (
                    payload({"errorType": "DatabaseUnavailableError", "errorMessage": "no connection"}, error=True)
                    if asked["FunctionName"].endswith("refresh")
                    else well_deployment.invoke(asked)
                )
            },
            "refused",
            "refresh raised DatabaseUnavailableError: no connection",
            "scannerdb logs refresh -e prod",
        ),
        (
            FUNCTIONS,
            {
                "lambda.invoke": lambda asked: (
                    payload(
                        {
                            "state": "critical",
                            "findings": [
                                LOGINS[0],
                                {**LOGINS[1], "state": "critical", "value": "no connection: timeout", "next": "this"},
                            ],
                        }
                    )
                    if asked["FunctionName"].endswith("doctor")
                    else well_deployment.invoke(asked)
                )
            },
            "refused",
            "no connection: timeout",
            "this",
        ),
        (
            FUNCTIONS,
            {
                "lambda.invoke": lambda asked: (
                    payload({"release_sha256": "a" * 64, "findings": [], "steps": [{}, {}]})
                    if asked["FunctionName"].endswith("migrate")
                    else well_deployment.invoke(asked)
                )
            },
            "warning",
            "2 statements of the deployed release are pending",
            "cdktf deploy prod",
        ),
        (
            LOG_FILTERS,
            {"logs.describe_metric_filters": {"metricFilters": []}},
            "refused",
            f"slow_statements, slow_logged_statements, denied_statements: not on /aws/rds/instance/{PREFIX}/postgresql",
            "cdktf deploy prod",
        ),
        (
            LOG_FILTERS,
            {"logs.test_metric_filter": {"matches": []}},
            "refused",
            "CloudWatch publishes [], the server measured [",
            "stacks/alarms/log_patterns.py",
        ),
        (
            ALARMS,
            {"cloudwatch.describe_alarms": alarms(lock_waits={"StateValue": "ALARM", "StateReason": "it waits"})},
            "warning",
            "lock-waits rings: it waits",
            "scannerdb doctor lock-waits",
        ),
        (
            ALARMS,
            {
                "cloudwatch.describe_alarms": lambda _: alarms(
                    storage_low={"StateValue": "INSUFFICIENT_DATA", "StateReason": "no datum"}
                )
            },
            "refused",
            "storage-low has no data, 4320 min after it was made: no datum",
            "a dimension is wrong",
        ),
        (
            ALARMS,
            {
                "cloudwatch.describe_alarms": lambda _: alarms(
                    storage_low={
                        "StateValue": "INSUFFICIENT_DATA",
                        "AlarmConfigurationUpdatedTimestamp": ago(minutes=5),
                    }
                )
            },
            "not answered",
            "storage-low has no data yet, 5 min after it was made",
            "ask again in 10 min",
        ),
        (
            MESSAGES,
            {
                "sns.list_subscriptions_by_topic": {
                    "Subscriptions": [
                        {"Endpoint": "scanner-oncall@example.com", "SubscriptionArn": "PendingConfirmation"}
                    ]
                }
            },
            "warning",
            "scanner-oncall@example.com has not confirmed",
            "confirm the mail",
        ),
        (
            MESSAGES,
            {"sns.list_subscriptions_by_topic": {"Subscriptions": []}},
            "refused",
            "scanner-oncall@example.com not subscribed",
            "deploy again",
        ),
        (
            TUNNEL[:1],
            {"ssm.describe_instance_information": {"InstanceInformationList": []}},
            "refused",
            "i-0123456789abcdef0 is not registered with Session Manager",
            "endpoints ssm and ssmmessages",
        ),
        (
            TUNNEL[:1],
            {"ssm.start_session": Refusal("AccessDeniedException")},
            "not answered",
            "ssm:StartSession is denied",
            "grant ssm:StartSession",
        ),
    ],
)
def test_a_fault_of_the_deployment_is_told_with_what_was_seen_and_the_way_out(
    checks: Sequence[Check], script: dict[str, Any], state: str, told: str, way_out: str
) -> None:
    found = faults(answers(checks, script))
    assert found[0].state == state
    assert told in found[0].seen
    assert way_out in found[0].next


def test_an_alarm_that_is_not_deployed_is_named() -> None:
    described = alarms()
    described["MetricAlarms"] = [
        each for each in described["MetricAlarms"] if each["AlarmName"] != f"{PREFIX}-progress-stale"
    ]
    (found,) = faults(answers(ALARMS, {"cloudwatch.describe_alarms": described}))
    assert (found.state, found.seen) == ("refused", "not deployed: progress-stale")


def empty_data(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "MetricDataResults": [
            {"Id": query["Id"], "StatusCode": "Complete", "Values": []} for query in asked["MetricDataQueries"]
        ]
    }


def test_metric_math_without_data_is_well_where_silence_is_and_a_warning_elsewhere() -> None:
    found = [
        answer
        for answer in answers(ALARMS, {"cloudwatch.get_metric_data": empty_data})
        if answer.check == "metric-math"
    ]
    silent, told = found[-1], " ".join(answer.seen for answer in found[:-1])
    assert silent.state == "ok"
    assert "proxy-pinned none, which is well" in silent.seen
    assert {answer.state for answer in found[:-1]} == {"warning"}
    assert "progress-stale returned no value in 60 min" in told


def test_metric_math_is_asked_with_the_queries_of_the_alarms_themselves() -> None:
    asked: list[Any] = []

    def data(arguments: dict[str, Any]) -> dict[str, Any]:
        asked.extend(arguments["MetricDataQueries"])
        return well_deployment.metric_data(arguments)

    answers(ALARMS, {"cloudwatch.get_metric_data": data})
    deployed = [query for each in alarms()["MetricAlarms"] for query in each.get("Metrics", [])]
    assert deployed
    assert asked == deployed


def test_each_route_is_asked_signed_and_one_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_requests, "get", respond)
    found = answers(API[:1])
    assert [answer.asked for answer in found] == [*(f"API: {route}" for route in REQUESTS), "API: unsigned"]
    assert faults(found) == []


def test_the_routes_that_are_asked_are_those_of_the_stack(prod: Synthesised) -> None:
    assert {route["route_key"] for route in prod.every("aws_apigatewayv2_route").values()} == set(REQUESTS)


def test_an_api_that_answers_anybody_or_not_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_requests, "get", lambda _, **__: Response(200, {}, {}))
    job, unsigned = faults(answers(API[:1]))
    assert (job.state, unsigned.state) == ("refused", "refused")
    assert unsigned.seen.startswith("200 in ")
    assert unsigned.next == "scannerdb logs status -e prod --since 15m"

    def nothing(_: str, **__: Any) -> Response:
        raise OSError("Name or service not known")

    monkeypatch.setattr(signed_requests, "get", nothing)
    assert {answer.state for answer in answers(API[:1])} == {"not answered"}


def test_a_caller_without_the_right_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_requests, "get", lambda _, **__: Response(403, {}, {"message": "Forbidden"}))
    found = faults(answers(API[:1]))
    assert {answer.state for answer in found} == {"not answered"}
    assert found[0].next == f"grant execute-api:Invoke to {well_deployment.CALLER}"


@contextlib.contextmanager
def tls_server(authority: trustme.CA) -> Iterator[int]:
    """Yield the port of a server whose certificate this authority signed."""
    configuration = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(configuration)
    with socket.create_server(("localhost", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with contextlib.suppress(OSError):
                        configuration.wrap_socket(client, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_the_certificate_of_the_api_is_verified_as_this_machine_verifies_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_server(authority) as port:
        monkeypatch.setitem(OUTPUTS, "api_url", f"https://localhost:{port}")
        (untrusted,) = answers(API[1:])
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        (trusted,) = answers(API[1:])
    assert (untrusted.state, trusted.state) == ("refused", "ok")
    assert trusted.seen.startswith("localhost, TLSv1.3, valid until ")


def planned(*changes: dict[str, Any]) -> Planned:
    body = {"format_version": "1.2", "planned_values": {}, "resource_changes": list(changes)}
    return Planned(plan_file=ROOT, json=body, against="the account of your credentials", is_aws=True)


def change(*actions: str) -> dict[str, Any]:
    return {
        "address": "aws_db_instance.database_instance",
        "mode": "managed",
        "type": "aws_db_instance",
        "change": {"actions": list(actions), "before": {"port": 1}, "after": {"port": 2}},
    }


def test_a_second_plan_that_is_not_empty_names_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "plan_environment", lambda _: planned(change("update")))
    (found,) = answers(PLAN)
    assert (found.state, found.next) == ("refused", "scannerdb review -e prod")
    assert found.seen == "1 differ: aws_db_instance.database_instance (port)"
    monkeypatch.setattr(plan, "plan_environment", lambda _: planned(change("no-op")))
    (found,) = answers(PLAN)
    assert (found.state, found.seen) == (
        "ok",
        "empty: 1 resources as deployed, against the account of your credentials",
    )


def test_a_plan_that_cannot_be_made_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Planned:
        raise PlanningError("Terraform is not installed; get 1.10 or newer")

    monkeypatch.setattr(plan, "plan_environment", fail)
    (found,) = answers(PLAN)
    assert (found.state, found.seen) == ("not answered", "Terraform is not installed; get 1.10 or newer")


def local_context(deployed: Deployed) -> Context:
    """Return a context whose outputs lead to the embedded PostgreSQL."""
    settings = load_settings(ROOT / "environments" / "local.toml")
    aws = ScriptedAws(WELL).clients(settings)
    state = json.loads(deployed.state.read_text())
    return Context(
        settings=settings,
        aws=aws,
        account_id=ACCOUNT,
        caller=well_deployment.CALLER,
        state=state,
        now=well_deployment.NOW,
    )


def test_every_role_logs_in_through_the_tunnel_on_both_ways_with_tls(deployed: Deployed, fake_aws: Path) -> None:
    asked = local_context(deployed)
    found = list(run(TUNNEL[1:], asked))
    assert [(answer.asked, answer.state) for answer in found] == [
        ("tunnel logins, proxy", "ok"),
        ("TLS: proxy", "ok"),
        ("tunnel logins, direct", "ok"),
        ("TLS: direct", "ok"),
    ]
    for role in ("scanner_app", "progress_refresher", "progress_reader", "scanner_doctor"):
        assert role in found[0].seen
    assert found[1].seen == "TLSv1.3, verify-full, localhost"
    assert "rds-db:connect" in asked.aws.actions
    assert json.loads(fake_aws.read_text().splitlines()[0])["target"] == BASTION


def test_a_role_that_may_not_log_in_is_named(deployed: Deployed, fake_aws: Path) -> None:
    deployed.database.query("ALTER ROLE scanner_app NOLOGIN")
    try:
        found = faults(list(run(TUNNEL[1:], local_context(deployed))))
    finally:
        deployed.database.query("ALTER ROLE scanner_app LOGIN")
    assert [answer.asked for answer in found] == [
        "tunnel login: scanner_app, proxy",
        "tunnel login: scanner_app, direct",
    ]
    assert found[0].state == "refused"
    assert 'role "scanner_app" is not permitted to log in' in found[0].seen


def test_a_token_that_is_refused_is_told_with_the_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg2

    error = psycopg2.OperationalError('no connection to p: FATAL:  PAM authentication failed for user "scanner_app"')
    found = tunnel._no_login(context({}), error, "scanner_app, direct")
    assert found.state == "not answered"
    assert found.next.startswith(f"grant rds-db:connect for this user to {well_deployment.CALLER}")


def test_without_the_aws_cli_the_logins_of_the_tunnel_are_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (found,) = answers(TUNNEL[1:])
    assert found.state == "not answered"
    assert "aws is not on PATH; install it: https://docs.aws.amazon.com/cli/" in found.seen


def test_a_denied_call_is_told_with_its_permission_and_the_other_checks_go_on() -> None:
    found = answers((*SCHEDULE, *MESSAGES), {"scheduler.get_schedule": DENIED})
    (denied,) = faults(found)
    assert denied.seen.startswith("scheduler:GetSchedule is denied: ")
    assert {answer.check for answer in found} == {"schedules", "last-run", "topics"}


def test_a_check_that_says_nothing_or_breaks_is_not_answered() -> None:
    def broken(_: Context) -> Iterator[Answer]:
        raise ValueError("no such thing")

    checks = [Check(name="silent", asked="a", ask=lambda _: iter(())), Check(name="broken", asked="b", ask=broken)]
    silent, failed = answers(checks)
    assert (silent.state, silent.seen) == ("not answered", "the check had nothing to say")
    assert (failed.state, failed.seen) == ("not answered", "the check failed: ValueError: no such thing")


def test_what_is_not_deployed_is_refused_before_the_first_question(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)
    monkeypatch.setenv("SCANNER__STATE__PATH", str(tmp_path / "none.tfstate"))
    scannerdb("accept", "-e", "local", code=1)
    assert "local is not deployed: its state" in capsys.readouterr().err


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Return a function that lets the command meet a well deployment, changed by a script, without a tunnel."""

    def prepare(script: dict[str, Any]) -> None:
        aws = ScriptedAws(
            WELL | {"sts.get_caller_identity": {"Account": ACCOUNT, "Arn": well_deployment.CALLER}} | script
        )
        monkeypatch.setattr(command, "Clients", lambda settings: Clients(settings, aws.make))
        monkeypatch.setattr(command, "read_state", lambda *_: well_deployment.state())
        monkeypatch.setattr(command, "CHECKS", (*SCHEDULE, *FUNCTIONS, *LOG_FILTERS, *ALARMS, *MESSAGES))

    return prepare


def test_the_exit_code_is_that_of_the_worst_answer(
    quick: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    pending = {"Subscriptions": [{"Endpoint": "scanner-oncall@example.com", "SubscriptionArn": "PendingConfirmation"}]}
    for script, code, state in (
        ({}, 0, "ok"),
        ({"sns.list_subscriptions_by_topic": pending}, 1, "warning"),
        ({"logs.describe_metric_filters": {"metricFilters": []}}, 2, "refused"),
    ):
        quick(script)
        scannerdb("accept", "-e", "prod", "--json", code=code)
        assert json.loads(capsys.readouterr().out)["state"] == state


def test_no_check_is_left_out_of_the_command() -> None:
    topics = (SCHEDULE, FUNCTIONS, API, TUNNEL, LOG_FILTERS, ALARMS, MESSAGES, PLAN)
    assert {check.name for check in CHECKS} == {check.name for topic in topics for check in topic}
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


def test_a_signed_request_returns_the_body_of_an_error_too(aws: Emulator) -> None:
    answer = signed_requests.get(f"{aws.api_url}/nothing", region="eu-central-1", credentials=None)
    assert (answer.status_code, answer.body) == (404, {"message": "Not Found"})
    assert api.TIMEOUT_S < signed_requests.TIMEOUT_S
