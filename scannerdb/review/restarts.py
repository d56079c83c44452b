"""Finds changes that restart the database, and when they do.

RDS documents for each argument whether its change causes an outage and when it is applied:
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html; of a cluster:
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Modifying.html; for parameters:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scannerdb.review.changes import Action, Change, Difference
from scannerdb.review.values import show

# Each causes an outage when applied: in the maintenance window, or at once with `apply_immediately`.
_IN_THE_WINDOW = {
    "instance_class": "the instance moves to other hardware",
    "engine_version": "PostgreSQL is upgraded",
    "db_subnet_group_name": "the instance moves to other subnets",
    "identifier": "the instance reboots under its new name",
    "ca_cert_identifier": "the server's certificate is rotated, with a restart unless the engine can reload it",
}
# Of the two resources of a cluster, each where it has the argument.
_SERVERS = frozenset({"aws_db_instance", "aws_rds_cluster", "aws_rds_cluster_instance"})
_GROUPS = {"aws_db_instance": "parameter_group_name", "aws_rds_cluster": "db_cluster_parameter_group_name"}
# The database has allow_major_version_upgrade = false.
_MAJOR = "RDS refuses a new major version from a deploy; docs/operations/database.md says how"
# Applied at once in any case.
_AT_ONCE = {"port": "RDS restarts the database at once, also without apply_immediately"}
_NEXT_RESTART = "at the next restart; no restart is scheduled: reboot the instance when it suits"


@dataclass(frozen=True, kw_only=True)
class Restart:
    """One cause of a restart, or one change that takes effect at a restart."""

    address: str
    difference: Difference
    why: str
    when: str


def restarts(changes: Iterable[Change]) -> list[Restart]:
    """Return the changes that restart the existing database, or take effect at its next restart."""
    return [restart for change in changes if change.action is Action.UPDATE for restart in _restarts(change)]


def _restarts(change: Change) -> Iterator[Restart]:
    def restart(name: str, why: str, when: str) -> Restart:
        return Restart(address=change.address, difference=change.difference(name), why=why, when=when)

    if change.type in _SERVERS:
        when = _window(change)
        in_the_window = _IN_THE_WINDOW | ({"engine_version": _MAJOR} if _changes_major(change) else {})
        yield from (restart(name, why, when) for name, why in in_the_window.items() if change.differs(name))
        yield from (restart(name, why, "during the deploy") for name, why in _AT_ONCE.items() if change.differs(name))
        group = _GROUPS.get(change.type, "")
        if change.differs(group):
            yield restart(group, "the parameters of another group apply", _NEXT_RESTART)
    if change.type in {"aws_db_parameter_group", "aws_rds_cluster_parameter_group"}:
        yield from _parameters(change)


def _changes_major(change: Change) -> bool:
    before, after = (str(values.get("engine_version")).partition(".")[0] for values in (change.before, change.after))
    return before != after


def _window(change: Change) -> str:
    if change.after.get("apply_immediately"):
        return "during the deploy (apply_immediately = true)"
    names = ("maintenance_window", "preferred_maintenance_window")
    windows = [values.get(name) for values in (change.after, change.before) for name in names]
    window = next(filter(None, windows), None)
    return f"in the maintenance window {window} UTC (apply_immediately = false)" if window else "in the next window"


def _parameters(change: Change) -> Iterator[Restart]:
    before, after = _by_name(change.before), _by_name(change.after)
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, {}), after.get(name, {})
        method = new.get("apply_method") or old.get("apply_method")
        if old.get("value") != new.get("value") and method == "pending-reboot":
            yield Restart(
                address=change.address,
                difference=Difference(
                    attribute=name,
                    before=show(old.get("value")),
                    after=show(new.get("value")) if new else "(RDS's default)",
                    forces_replacement=False,
                ),
                why="PostgreSQL reads it only when it starts",
                when=_NEXT_RESTART,
            )


def _by_name(values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {parameter["name"]: parameter for parameter in values.get("parameter") or []}
