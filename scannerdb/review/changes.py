"""Reads the changes of resources from a plan's JSON.

https://developer.hashicorp.com/terraform/internals/json-format#plan-representation
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from scannerdb.review.documents import compare
from scannerdb.review.terraform_errors import PlanningError
from scannerdb.review.values import SECRET, is_marked, is_secret, show

FORMAT = "1"


class Action(StrEnum):
    """What a plan does to a resource."""

    NOTHING = "no-op"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    FORGET = "forget"
    READ = "read"


_ACTIONS = {
    ("no-op",): Action.NOTHING,
    ("create",): Action.CREATE,
    ("update",): Action.UPDATE,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
    # The old object is left behind, but its users get a new and empty one.
    ("create", "forget"): Action.REPLACE,
    ("delete",): Action.DESTROY,
    ("forget",): Action.FORGET,
    ("read",): Action.READ,
}
# Reasons that the changed attributes do not show.
_REASONS = {
    "replace_because_tainted": "an earlier apply failed while it was created (tainted)",
    "replace_by_request": "requested with -replace",
    "replace_by_triggers": "replace_triggered_by names something that changes",
    "delete_because_no_resource_config": "it is no longer in the stack",
    "delete_because_no_module": "it is no longer in the stack",
    "delete_because_wrong_repetition": "it is no longer in the stack",
    "delete_because_count_index": "it is no longer in the stack",
    "delete_because_each_key": "it is no longer in the stack",
    "delete_because_no_move_target": "it moved to an address that is not in the stack",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One attribute that changes; its values contain no secret.

    `lines` are those of a diff, where it is a document such as a policy.
    """

    attribute: str
    before: str
    after: str
    forces_replacement: bool
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a plan does to one resource.

    Attributes:
        address: such as `aws_db_instance.database_instance`.
        reason: the cause, where the attributes do not show it; else empty.
        moved_from: its former address.
        deposed: the key of the old object that an interrupted replacement left, when the change is about that object.
        forcing: paths of the attributes that force a replacement.
        before: the raw values, including secrets.
        after: the same, without values that are known after the apply.

    """

    address: str
    type: str
    action: Action
    create_first: bool
    reason: str
    moved_from: str | None
    imported: bool
    deposed: str | None
    forcing: tuple[str, ...]
    before: Mapping[str, Any] = field(repr=False)
    after: Mapping[str, Any] = field(repr=False)
    unknown: Mapping[str, Any] = field(repr=False)
    secrets: tuple[Any, Any] = field(repr=False)

    @property
    def title(self) -> str:
        """The address, and whether it is a deposed object."""
        return f"{self.address} (deposed object {self.deposed})" if self.deposed else self.address

    def differs(self, name: str) -> bool:
        """Return whether an attribute changes, or may change because it is known after the apply."""
        return is_marked(self.unknown.get(name)) or self.before.get(name) != self.after.get(name)

    def difference(self, name: str) -> Difference:
        """Return an attribute's values, with a placeholder for a secret."""
        secret = is_secret(name, *(mark is True or _part(mark, name) for mark in self.secrets))
        before = SECRET if secret else show(self.before.get(name))
        after = SECRET if secret else show(self.after.get(name), self.unknown.get(name))
        return Difference(
            attribute=name,
            before=before,
            # Values that are too long to show have the same placeholder.
            after=f"{after}, changed" if after == before and self.differs(name) else after,
            forces_replacement=name in {path.partition(".")[0].partition("[")[0] for path in self.forcing},
            lines=() if secret else compare(name, self.before.get(name), self.after.get(name), self.unknown.get(name)),
        )

    def differences(self) -> list[Difference]:
        """Return all attributes that change, those that force a replacement first."""
        names = {*self.before, *self.after, *self.unknown}
        # tags_all repeats each tag.
        names -= {"tags_all"} if self.differs("tags") else set()
        found = [self.difference(name) for name in sorted(names) if self.differs(name)]
        return sorted(found, key=lambda each: not each.forces_replacement)


def read_changes(plan: Mapping[str, Any]) -> list[Change]:
    """Return the change of each managed resource, including `no-op`.

    Raises:
        PlanningError: this is no plan, or this review cannot read it.

    """
    version = str(plan.get("format_version", ""))
    if version.partition(".")[0] != FORMAT or "planned_values" not in plan:
        raise PlanningError(
            f"this is no plan of format {FORMAT}.x (found {version or 'none'}); "
            "make it with: terraform show -json plan.tfplan > plan.json"
        )
    if plan.get("errored"):
        raise PlanningError("Terraform failed while it made this plan, so the plan is incomplete; plan again")
    return [_change(entry) for entry in plan.get("resource_changes", []) if entry["mode"] == "managed"]


def _change(entry: Mapping[str, Any]) -> Change:
    change = entry["change"]
    actions = tuple(change["actions"])
    if actions not in _ACTIONS:
        raise PlanningError(
            f"{entry['address']} has unknown actions {actions}; add them to scannerdb/review/changes.py"
        )
    return Change(
        address=entry["address"],
        type=entry["type"],
        action=_ACTIONS[actions],
        create_first=actions[0] == "create" and len(actions) > 1,
        reason=_REASONS.get(entry.get("action_reason", ""), ""),
        moved_from=entry.get("previous_address"),
        imported="importing" in change,
        deposed=entry.get("deposed"),
        forcing=tuple(_path(steps) for steps in change.get("replace_paths", [])),
        before=change.get("before") or {},
        after=change.get("after") or {},
        unknown=_mapping(change.get("after_unknown")),
        secrets=(change.get("before_sensitive"), change.get("after_sensitive")),
    )


def _path(steps: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _mapping(marks: Any) -> Mapping[str, Any]:
    return marks if isinstance(marks, dict) else {}


def _part(marks: Any, name: str) -> Any:
    return _mapping(marks).get(name)
