"""Makes an instance from a snapshot or from backups, and leaves the instances of earlier generations alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from cdktf import Postcondition, TerraformResourceLifecycle, TerraformStack
from cdktf_cdktf_provider_aws.db_instance import DbInstanceRestoreToPointInTime
from constructs import Construct

from handlers.contract.databases import RdsDatabase
from stacks.settings.database import DatabaseSettings
from stacks.settings.restore import RestoreFrom, point_in_time

# Terraform replaces an instance for a change of any of these. The first two are read once, when it is made; with the
# second taken away it replaces too: https://github.com/hashicorp/terraform-provider-aws/issues/34522. The third is what
# the source is encrypted with.
READ_ONCE = ("snapshot_identifier", "restore_to_point_in_time", "kms_key_id")


def scope_of(database: Construct, generation: int) -> Construct:
    """Return the parent of what bears the identifier: each generation has addresses of its own.

    With one address for all of them, Terraform would rename the instance that serves instead of making another.
    """
    return database if generation == 1 else Construct(database, str(generation))


def content(database: DatabaseSettings, *, key_arn: str) -> dict[str, Any]:
    """Return the arguments of an `aws_db_instance` that say what is in it: nothing yet, or what is restored.

    A restore takes the database, its owner and its key from its source, and the size of its storage too: storage
    that has grown is larger than in the settings, and RDS refuses to make it smaller.
    """
    if database.restore_from is None:
        return {
            "db_name": database.name,
            "username": database.master_username,
            "kms_key_id": key_arn,
            "allocated_storage": database.allocated_storage_gib,
        }
    if database.restore_from.snapshot is not None:
        return {"snapshot_identifier": database.restore_from.snapshot}
    return {"restore_to_point_in_time": DbInstanceRestoreToPointInTime(**point_in_time(database.restore_from))}


def lifecycle(database: DatabaseSettings, rds_database: RdsDatabase) -> TerraformResourceLifecycle:
    """Return the lifecycle of an instance: it is restored when it is made, and never again.

    Raises, in the plan: the instance exists and was not restored from what the settings say.
    """
    return TerraformResourceLifecycle(
        ignore_changes=list(READ_ONCE),
        postcondition=[
            Postcondition(
                condition="${" + condition + "}",
                error_message=(
                    f"{rds_database.identifier} exists, and was not restored from what database.restore_from says. A "
                    f"restore makes a new database beside it: set database.generation to {database.generation + 1}; or "
                    "remove restore_from."
                ),
            )
            for condition in _restored(database.restore_from)
        ],
    )


def _restored(restore_from: RestoreFrom | None) -> Iterable[str]:
    """Yield the condition that an instance was restored from this: it compares what the state remembers."""
    if restore_from is None:
        return
    if restore_from.snapshot is not None:
        yield f'self.snapshot_identifier == "{restore_from.snapshot}"'
        return
    yield " && ".join(
        f"try(self.restore_to_point_in_time[0].{name}, null) == {_literal(value)}"
        for name, value in point_in_time(restore_from).items()
    )


def _literal(value: str | bool) -> str:  # noqa: FBT001 - one value of two types
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def leave_older(database: Construct, addresses: Mapping[str, str], *, generation: int) -> None:
    """Let Terraform forget the instances of earlier generations and their logs, and destroy none.

    Args:
        database: the construct that bears what is not of a generation.
        addresses: name in the construct -> type, of what bears the identifier.
        generation: the present one.

    """
    stack = TerraformStack.of(database)
    removed = [
        {
            "from": f"{kind}.{database.node.id}_{name if older == 1 else f'{older}_{name}'}",
            "lifecycle": {"destroy": False},
        }
        for older in range(1, generation)
        for name, kind in addresses.items()
    ]
    if removed:
        stack.add_override("removed", removed)
