"""Plans as Terraform shows them, as small as a test needs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from scannerdb.review.allowed import Allowed
from scannerdb.review.ledger import Ledger, UnknownLedgerError
from scannerdb.review.policy import Policy
from scannerdb.review.review import Review
from scannerdb.review.review import judge as judge_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scannerdb.terraform import TerraformError

TODAY = dt.date(2026, 11, 24)
DATABASE = "aws_db_instance.database_instance"
REPLACE = ("delete", "create")


def resource(
    address: str,
    actions: Sequence[str],
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    unknown: dict[str, Any] | None = None,
    secrets: Any = False,
    forcing: Sequence[Sequence[Any]] = (),
    **fields: Any,
) -> dict[str, Any]:
    """One entry of `resource_changes`; `secrets` marks both sides, `fields` are those beside `change`."""
    change = {
        "actions": list(actions),
        "before": before,
        "after": after,
        "after_unknown": unknown or {},
        "before_sensitive": secrets,
        "after_sensitive": secrets,
        **({"replace_paths": [list(path) for path in forcing]} if forcing else {}),
    }
    kind, name = address.split(".")
    return {"address": address, "mode": "managed", "type": kind, "name": name, "change": change, **fields}


def plan(*resources: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan of these changes."""
    return {
        "format_version": "1.2",
        "planned_values": {"root_module": {}},
        "resource_changes": list(resources),
        **fields,
    }


def unread() -> Ledger:
    """The ledger of a database that cannot be asked."""
    raise UnknownLedgerError("no credentials")


def judge(*resources: dict[str, Any], allowed: dict[str, Any] | None = None, **arguments: Any) -> Review:
    """Review a plan of these changes, whose policy checks all pass."""
    defaults: dict[str, Any] = {
        "environment": "prod",
        "against": "a test",
        "allowed": Allowed.model_validate(allowed or {}),
        "policy": Policy(passed=9, resources=3, failed=()),
        "fetch": lambda _: None,
        "read_ledger": unread,
        "today": TODAY,
    }
    return judge_plan(arguments.pop("plan", plan(*resources)), **defaults | arguments)


def allowing(address: str = DATABASE, action: str = "replace", expires: dt.date = TODAY) -> dict[str, Any]:
    """An allow list with one change."""
    entry = {"address": address, "action": action, "reason": "restored from a snapshot", "expires": expires}
    return {"change": [entry]}


def in_one_line(error: TerraformError) -> str:
    """Return what Terraform printed without the frame of its errors and without its line breaks."""
    return " ".join(str(error).replace("│", " ").split())
