"""Takes each permission, endpoint, rule and condition of an account away in turn; prints what AWS then answers.

python -m tests.support.taken_away prod
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.access_uses import EVERYTHING, STRANGER, forbidden, is_allowed, needed, short_name
from tests.support.synthesis import read_stack, run_main
from tests.support.synthesised_account import synthesised_account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lab.emulator.access.account import Account
    from lab.emulator.access.decisions import Use
    from lab.emulator.access.logins import Connection
    from tests.support.synthesis import Synthesised


@dataclass(frozen=True)
class Loss:
    """One thing that is taken away: of whom, which, and the account without it."""

    owner: str
    item: str
    account: Account


class Decided:
    """A synthesised environment, and what AWS answers in it."""

    def __init__(self, stack: Synthesised, environment: str) -> None:
        account = synthesised_account(stack)
        self.account = replace(account, role_policies={**account.role_policies, STRANGER: {"all": EVERYTHING}})
        self.needed = needed(self.account, environment)
        self.forbidden = forbidden(self.account, environment)

    def changes(self, loss: Loss) -> list[Use | Connection]:
        """Return what is needed and now refused, or forbidden and now allowed."""
        return [
            *(use for use in self.needed if not is_allowed(loss.account, use)),
            *(use for use in self.forbidden if is_allowed(loss.account, use)),
        ]


def losses(account: Account) -> Iterator[Loss]:
    """Yield everything that can be taken away."""
    for arn, named in account.role_policies.items():
        if arn == STRANGER:
            continue
        for name, document in named.items():
            for item, rest in _documents(document):
                changed = {**account.role_policies, arn: {**named, name: rest}}
                yield Loss(f"role {_last(arn)}", item, replace(account, role_policies=changed))
    for arn, document in account.policies.items():
        for item, rest in _documents(document):
            yield Loss(_owner(arn), item, replace(account, policies={**account.policies, arn: rest}))
    for number, endpoint in enumerate(account.endpoints):
        for item, instead in _endpoints(endpoint):
            others = (*account.endpoints[:number], *instead, *account.endpoints[number + 1 :])
            yield Loss(f"endpoint {endpoint.service}", item, replace(account, endpoints=others))
    for rule in account.rules:
        others = tuple(each for each in account.rules if each is not rule)
        yield Loss("security groups", rule.name, replace(account, rules=others))
    yield Loss("network", "private DNS of the VPC", replace(account, vpcs_with_dns=frozenset()))


def _endpoints(endpoint: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    yield "the endpoint", ()
    if endpoint.prefix_list_id is not None:
        yield "its route tables", (replace(endpoint, route_table_ids=()),)
    else:
        yield "its private DNS", (replace(endpoint, has_private_dns=False),)
    for item, rest in _documents(endpoint.policy):
        yield f"policy: {item}", (replace(endpoint, policy=rest),)


def _documents(document: str) -> Iterator[tuple[str, str]]:
    """Yield a policy without each of its actions, and without each of its conditions."""
    statements: list[dict[str, Any]] = json.loads(document)["Statement"]
    for number, statement in enumerate(statements):
        name = statement.get("Sid", "trust" if statement["Action"] == "sts:AssumeRole" else "statement")
        for item, instead in _statements(statement):
            rest = [*statements[:number], *instead, *statements[number + 1 :]]
            yield f"{name}: {item}", json.dumps({"Statement": rest})


def _statements(statement: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    said = statement["Action"]
    actions = said if isinstance(said, list) else [said]
    denied = "the Deny of " if statement["Effect"] == "Deny" else ""
    for action in actions:
        others = [each for each in actions if each != action]
        yield f"{denied}{action}", [{**statement, "Action": others}] if others else []
    conditions = statement.get("Condition", {})
    for operator, tests in conditions.items():
        for key in tests:
            rest = {name: value for name, value in tests.items() if name != key}
            without = {**conditions, operator: rest} if rest else {k: v for k, v in conditions.items() if k != operator}
            yield f"condition {key}", [{**statement, "Condition": without}]


def _owner(arn: str) -> str:
    service = arn.split(":")[2]
    kinds = {"iam": "role", "kms": "key", "lambda": "function", "s3": "bucket", "sns": "topic"}
    return f"{kinds[service]} {_last(arn)}" if service not in {"kms", "s3"} else kinds[service]


def _last(arn: str) -> str:
    name = arn.replace("/", ":").rpartition(":")[2]
    return "flow-logs" if name.endswith("-flow-logs") else short_name(name)


def main() -> None:
    """Print a table."""
    environment = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        run_main(environment, outdir=Path(folder))
        decided = Decided(read_stack(Path(folder), environment), environment)
    print("| of | taken away | then |\n|---|---|---|")
    for loss in losses(decided.account):
        first, *more = decided.changes(loss) or [None]
        verb = "allowed" if first in decided.forbidden else "refused"
        told = f"{verb}: {first}" + (f", and {len(more)} more" if more else "")
        told = told if first else "nothing: another policy refuses the same"
        print(f"| {loss.owner} | {loss.item} | {told} |")


if __name__ == "__main__":
    main()
