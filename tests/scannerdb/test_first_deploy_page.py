"""The policy of docs/operations/first_deploy.md allows the calls that preflight and accept make, and no others."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from scannerdb import signed_requests
from scannerdb.accept import api, tunnel
from scannerdb.accept.command import CHECKS as ACCEPT
from scannerdb.accept.plan import PLAN
from scannerdb.accept.tunnel import TUNNEL
from scannerdb.checks.clients import action_of
from scannerdb.checks.run import POLICY_PAGE, run
from scannerdb.preflight.command import CHECKS as PREFLIGHT
from scannerdb.preflight.command import context_of
from scannerdb.signed_requests import Response
from stacks import ROOT
from stacks.settings import load_settings
from tests.support import well_account, well_deployment
from tests.support.scripted_aws import ACCOUNT, ScriptedAws
from tests.support.synthesis import HUGE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised

# It needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {"sts:GetCallerIdentity"}


RESTORED = {
    "SCANNER__DATABASE__GENERATION": "2",
    "SCANNER__DATABASE__RESTORE_FROM__SOURCE": "db-ABCDEFGHIJKL",
    "SCANNER__DATABASE__RESTORE_FROM__TIME": "latest",
}
BACKUPS = {"EngineVersion": "17.6", "MasterUsername": "scanner_admin", "AllocatedStorage": 100, "Encrypted": True}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them no request is signed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def allowed() -> set[str]:
    """Return the actions of the page's policy."""
    (policy,) = re.findall(r"```json\n(.*?)```", (ROOT / POLICY_PAGE).read_text(), re.DOTALL)
    named: set[str] = set()
    for statement in json.loads(policy)["Statement"]:
        action = statement["Action"]
        named |= {action} if isinstance(action, str) else set(action)
    return named


def test_the_policy_allows_the_calls_that_are_made_and_no_others(
    prod: Synthesised, cluster: Synthesised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN every check, in a network of its own and in one that exists, of a restore, and of a cluster
    made: set[str] = set()
    file = ROOT / "environments" / "prod.toml"
    script = well_account.WELL | {"ec2.describe_subnets": well_account.subnets(a=200, b=200)}
    for settings, stack, offers in (
        (load_settings(file, {}), prod, {}),
        (
            load_settings(file, RESTORED),
            prod,
            {"rds.describe_db_instance_automated_backups": {"DBInstanceAutomatedBackups": [BACKUPS]}},
        ),
        (well_account.in_a_network_that_exists(tmp_path), prod, {}),
        (load_settings(file, HUGE), cluster, well_account.OFFERS_OF_AURORA),
    ):
        aws = ScriptedAws(script | offers).clients(settings)
        context = context_of(settings, aws, stack.json, account_id=ACCOUNT, caller="arn")
        assert [answer.seen for answer in run(PREFLIGHT, context) if answer.state != "ok"] == []
        made |= set(aws.actions)
    monkeypatch.setattr(signed_requests, "get", lambda _, **__: Response(200, {}, {}))
    context = well_deployment.context({})
    # Terraform's own calls are a deployer's. The logins of the tunnel need a tunnel: their permission is added.
    list(run([check for check in ACCEPT if check not in {*PLAN, TUNNEL[1]}], context))
    made |= {*context.aws.actions, tunnel.PERMISSION}
    # THEN
    assert made - FREE == allowed()


def test_a_signed_request_counts_as_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_requests, "get", lambda _, **__: Response(200, {}, {}))
    context = well_deployment.context({})
    list(run(api.API[:1], context))
    assert set(context.aws.actions) == {"execute-api:Invoke"}


@pytest.mark.parametrize(
    ("signing_name", "operation", "action"),
    [
        ("ec2", "DescribeVpcs", "ec2:DescribeVpcs"),
        ("lambda", "Invoke", "lambda:InvokeFunction"),
        ("monitoring", "DescribeAlarms", "cloudwatch:DescribeAlarms"),
        ("s3", "HeadBucket", "s3:ListBucket"),
    ],
)
def test_a_permission_has_the_name_that_iam_gives_it(signing_name: str, operation: str, action: str) -> None:
    assert action_of(signing_name, operation) == action
