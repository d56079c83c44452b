"""The plan's JSON as changes of resources.

https://developer.hashicorp.com/terraform/internals/json-format#plan-representation
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from scannerdb.review.terraform_errors import PlanningError
from scannerdb.review.values import SECRET, is_marked, is_secret, show

FORMAT = "1"


class Action(StrEnum):
    """What happens to a resource."""

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
    # The old one is left behind, but whoever uses it gets a new one that holds nothing.
    ("create", "forget"): Action.REPLACE,
    ("delete",): Action.DESTROY,
    ("forget",): Action.FORGET,
    ("read",): Action.READ,
}
# Reasons that the changed attributes do not tell already.
_REASONS = {
    "replace_because_tainted": "an earlier apply left it half made (tainted)",
    "replace_by_request": "asked for with -replace",
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
    """One attribute that changes; the values are fit to be shown."""

    attribute: str
    before: str
    after: str
    forces_replacement: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource.

    Attributes:
        address: as people type it, such as `aws_db_instance.database_instance`.
        reason: why, where the attributes do not tell; empty otherwise.
        moved_from: its former address.
        deposed: the key of an old object that an interrupted replacement left behind; this is about that object.
        forcing: paths of the attributes that force a replacement.
        before: the raw values, secrets among them.
        after: the same; without those that are known after the apply.

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
        """The address, and what is special about the object."""
        return f"{self.address} (deposed object {self.deposed})" if self.deposed else self.address

    def differs(self, name: str) -> bool:
        """Return whether an attribute changes, or may: what is known after the apply may stay as it is."""
        return is_marked(self.unknown.get(name)) or self.before.get(name) != self.after.get(name)

    def difference(self, name: str) -> Difference:
        """Return an attribute's values, or a placeholder in place of a secret."""
        secret = is_secret(name, *(mark is True or _part(mark, name) for mark in self.secrets))
        before = SECRET if secret else show(self.before.get(name))
        after = SECRET if secret else show(self.after.get(name), self.unknown.get(name))
        return Difference(
            attribute=name,
            before=before,
            # What is too large to be shown may look alike.
            after=f"{after}, changed" if after == before and self.differs(name) else after,
            forces_replacement=name in {path.partition(".")[0].partition("[")[0] for path in self.forcing},
        )

    def differences(self) -> list[Difference]:
        """Return all attributes that change, those that force a replacement first."""
        names = {*self.before, *self.after, *self.unknown}
        # The provider repeats each tag there.
        names -= {"tags_all"} if self.differs("tags") else set()
        found = [self.difference(name) for name in sorted(names) if self.differs(name)]
        return sorted(found, key=lambda each: not each.forces_replacement)


def read_changes(plan: Mapping[str, Any]) -> list[Change]:
    """Return the change of each managed resource, `no-op` among them.

    Raises:
        PlanningError: this is no plan, or one that this review cannot read.

    """
    version = str(plan.get("format_version", ""))
    if version.partition(".")[0] != FORMAT or "planned_values" not in plan:
        raise PlanningError(
            f"this is no plan of format {FORMAT}.x (found {version or 'none'}); "
            "make it with: terraform show -json plan.tfplan > plan.json"
        )
    if plan.get("errored"):
        raise PlanningError("Terraform failed while it made this plan, so it is not complete; plan again")
    return [_change(entry) for entry in plan.get("resource_changes", []) if entry["mode"] == "managed"]


def _change(entry: Mapping[str, Any]) -> Change:
    change = entry["change"]
    actions = tuple(change["actions"])
    if actions not in _ACTIONS:
        raise PlanningError(f"{entry['address']} has the unknown actions {actions}; teach them to ops/plan_review")
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
