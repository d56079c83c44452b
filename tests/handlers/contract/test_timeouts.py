"""Each time limit ends before the one around it, and roles.sql sets those of the roles."""

import re

import pytest

from handlers.contract import roles, timeouts
from handlers.contract.alarms.functions import FUNCTIONS
from stacks.settings.model import ScheduleSettings
from tests.support.database import MIGRATIONS

ROLES = {roles.REFRESHER: timeouts.REFRESH, roles.READER: timeouts.STATUS, roles.DOCTOR: timeouts.DOCTOR}
UNITS_S = {"s": 1, "min": 60}


def role_settings(setting: str) -> dict[str, int]:
    """Return the seconds that roles.sql gives to a setting of each role."""
    sql = (MIGRATIONS / "roles.sql").read_text()
    set_for = re.findall(rf"ALTER ROLE (\w+) SET {setting} = '(\d+)(s|min)'", sql)
    assert len(set_for) == sql.count(f" SET {setting} ")
    return {role: int(number) * UNITS_S[unit] for role, number, unit in set_for}


@pytest.mark.parametrize("role", ROLES)
def test_the_server_ends_a_statement_before_the_client_does_and_the_client_before_lambda(role: str) -> None:
    limits = ROLES[role]
    assert role_settings("lock_timeout").get(role, 0) < limits.statement_s < limits.client_s < limits.function_s


def test_the_runner_returns_before_lambda_ends_it() -> None:
    assert timeouts.MIGRATE.client_s < timeouts.MIGRATE.function_s <= 900


def test_roles_sql_sets_the_limits_of_the_roles() -> None:
    statements = role_settings("statement_timeout")
    assert {role: statements[role] for role in ROLES} == {role: limits.statement_s for role, limits in ROLES.items()}
    assert role_settings("lock_timeout")[roles.DOCTOR] == timeouts.DOCTOR_LOCK_S


def test_a_request_of_the_status_api_is_answered_within_three_seconds_by_the_innermost_limit_that_ends_it() -> None:
    assert timeouts.PROXY_BORROW_S < timeouts.CONNECT_S < timeouts.STATUS.client_s < 3


def test_a_deploy_waits_for_a_new_proxy_as_long_as_it_may_take_and_no_wait_rings_refresh_slow() -> None:
    (refresh_slow,) = (record for record in FUNCTIONS if record.name == "refresh-slow")
    assert isinstance(refresh_slow.threshold, float)
    # After the last try to connect comes a refresh.
    assert refresh_slow.threshold > 1000 * (timeouts.PROXY_PATIENCE_S + 30)
    assert timeouts.PROXY_WAITS * timeouts.PROXY_PATIENCE_S >= timeouts.PROXY_START_S == 15 * 60


def test_the_scheduler_gives_an_event_up_no_later_than_the_next_one_comes() -> None:
    shortest = ScheduleSettings(refresh_minutes=1)
    assert shortest.refresh_interval_s >= timeouts.OLDEST_EVENT_S
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        ScheduleSettings(refresh_minutes=0)
