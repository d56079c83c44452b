"""Which connections to databases are let through, and what the client library says to the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lab.emulator.access.logins import LoginRefusedError, check_connection, connections_of
from tests.support.access_uses import function_named
from tests.support.synthesised_account import synthesised_account

if TYPE_CHECKING:
    from lab.emulator.access.account import Account
    from lab.emulator.access.logins import Connection
    from tests.support.synthesis import Synthesised


@pytest.fixture
def account(prod: Synthesised) -> Account:
    return synthesised_account(prod)


def connection(account: Account, name: str) -> Connection:
    return next(connections_of(function_named(account, name)))


def refusal(account: Account, name: str) -> tuple[str, str]:
    with pytest.raises(LoginRefusedError) as refused:
        check_connection(account, connection(account, name))
    return str(refused.value).partition("failed: ")[2], str(refused.value.__cause__)


def without_logins(account: Account, name: str) -> Account:
    (role,) = [arn for arn in account.role_policies if arn.endswith(f"-{name}")]
    return replace(account, role_policies={**account.role_policies, role: {}})


def test_each_function_names_its_databases_and_its_user(account: Account) -> None:
    users = {
        name: [each.user for each in connections_of(function_named(account, name))] for name in ("migrate", "doctor")
    }
    assert users == {"migrate": [None], "doctor": ["scanner_doctor", "scanner_doctor"]}
    assert connection(account, "refresh").user == "progress_refresher"


def test_without_a_rule_the_client_waits_until_its_timeout(account: Account) -> None:
    group = function_named(account, "migrate").place.group_ids[0]
    closed = replace(account, rules=tuple(rule for rule in account.rules if rule.group_id != group))
    message, cause = refusal(closed, "migrate")
    assert message == "timeout expired"
    assert cause.startswith(f"no rule lets {group} out to")


def test_without_rds_db_connect_the_instance_says_that_pam_failed(account: Account) -> None:
    message, cause = refusal(without_logins(account, "doctor"), "doctor")
    assert message == 'FATAL:  PAM authentication failed for user "scanner_doctor"'
    assert "no identity-based policy allows the rds-db:connect action" in cause


def test_without_rds_db_connect_the_proxy_names_the_role(account: Account) -> None:
    message, _ = refusal(without_logins(account, "status"), "status")
    assert message.startswith("FATAL:  The IAM authentication failed for the role progress_reader")


def test_a_proxy_that_may_not_log_in_itself_has_no_credentials(account: Account) -> None:
    message, cause = refusal(without_logins(account, "proxy"), "refresh")
    assert message.startswith("FATAL:  This RDS proxy has no credentials for the role progress_refresher")
    assert "-proxy/" in cause


def test_a_function_outside_of_the_network_reaches_no_database(account: Account) -> None:
    outside = replace(connection(account, "migrate"), place=None)
    with pytest.raises(LoginRefusedError, match="timeout expired"):
        check_connection(account, outside)
