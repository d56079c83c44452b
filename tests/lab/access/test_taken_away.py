"""Each permission, endpoint, rule and condition of a deployment is there for a reason: without it something is refused.

What is needed are the calls and connections of the functions, which the acceptance tests compare with a real
deployment, and what AWS services do by their documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.access_uses import is_allowed
from tests.support.taken_away import Decided, losses

if TYPE_CHECKING:
    from tests.support.synthesis import Synthesised

ROLES = ("bastion", "doctor", "flow-logs", "migrate", "monitoring", "proxy", "refresh", "schedule", "status")
ENDPOINTS = ("s3", "secretsmanager", "ssm", "ssmmessages", "states")
OWNERS = (
    *(f"role {name}" for name in ROLES),
    *(f"endpoint {name}" for name in ENDPOINTS),
    *("bucket", "function status", "key", "network", "security groups", "topic page", "topic ticket"),
)
# The second lock on a door: what it refuses, another policy refuses too.
SECOND_LOCKS = {
    # Without it, another account's credentials could read our bucket, and nothing but it, if its policy let them.
    ("endpoint s3", "policy: statement: condition aws:PrincipalAccount"),
}
# With IAM from end to end, and with the proxy's secret.
ENVIRONMENTS = ("prod", "local")

_decided: dict[str, Decided] = {}


@pytest.fixture(params=ENVIRONMENTS)
def decided(request: pytest.FixtureRequest, stacks: dict[str, Synthesised]) -> Decided:
    if request.param not in _decided:
        _decided[request.param] = Decided(stacks[request.param], request.param)
    return _decided[request.param]


def test_everything_that_is_needed_is_allowed(decided: Decided) -> None:
    assert [str(use) for use in decided.needed if not is_allowed(decided.account, use)] == []
    assert len(decided.needed) > 100


def test_everything_that_is_forbidden_is_refused(decided: Decided) -> None:
    assert [str(use) for use in decided.forbidden if is_allowed(decided.account, use)] == []


@pytest.mark.parametrize("owner", OWNERS)
def test_nothing_can_be_taken_away_unnoticed(decided: Decided, owner: str) -> None:
    taken = [loss for loss in losses(decided.account) if loss.owner == owner]
    assert taken
    unnoticed = {(owner, loss.item) for loss in taken if not decided.changes(loss)}
    assert unnoticed == {each for each in SECOND_LOCKS if each[0] == owner}


def test_all_that_a_deployment_has_is_taken_away(decided: Decided) -> None:
    assert {loss.owner for loss in losses(decided.account)} == set(OWNERS)
