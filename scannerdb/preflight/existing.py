"""What the plan cannot ask of an instance that exists: Terraform's data source does not tell it.

The facts that it tells are postconditions of the plan (stacks/database/existing_conditions.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from scannerdb.checks.model import Answer, Check, Context, ok, refused, warning
from stacks.database.existing_conditions import modify
from stacks.settings import Settings
from stacks.settings.database import DatabaseSettings

AVAILABLE = "available"
# AWS makes one for each family, and takes no change of it:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithDBInstanceParamGroups.html
DEFAULT_GROUP = "default."
Instance = Mapping[str, Any]


def _existing(context: Context) -> Iterator[Answer]:
    settings = context.settings
    if (identifier := settings.database.existing_identifier) is None:
        yield ok("the stack makes one of its own")
        return
    rds = context.aws("rds")
    try:
        (instance,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault:
        yield refused(
            f"there is no instance {identifier} in {settings.region} of account {context.account_id}",
            next="correct database.existing_identifier, or take the credentials of its account",
        )
        return
    yield replace(_state(instance), asked="instance: state")
    yield replace(_network(instance, settings), asked="instance: network")
    yield replace(_logins(instance), asked="instance: IAM logins")
    yield replace(_load(instance, settings), asked="instance: load")
    yield replace(_deletion(instance), asked="instance: deletion")
    yield replace(_backups(instance), asked="instance: backups")
    yield replace(_growth(instance, settings.database), asked="instance: storage limit")
    yield replace(_parameters(instance), asked="instance: parameters")


def _state(instance: Instance) -> Answer:
    seen = f"{instance['DBInstanceIdentifier']} is {instance['DBInstanceStatus']}, {instance['EngineVersion']}"
    if instance["DBInstanceStatus"] != AVAILABLE:
        return refused(seen, next=f"deploy when it is {AVAILABLE}")
    if pending := instance.get("PendingModifiedValues"):
        return warning(
            f"{seen}; pending until its window: {', '.join(sorted(pending))}",
            next="let them apply before the deploy where settings name one of these",
        )
    return ok(seen)


def _network(instance: Instance, settings: Settings) -> Answer:
    found, wanted = instance["DBSubnetGroup"]["VpcId"], settings.network.vpc_id
    if found != wanted:
        return refused(
            f"it lies in {found}, and network.vpc_id is {wanted}: no security group leads from one to the other",
            next=f"network.vpc_id = {found}, with subnets of it",
        )
    if instance["PubliclyAccessible"]:
        return warning(
            f"{found}, and a public address",
            next=f"{modify(instance['DBInstanceIdentifier'])} --no-publicly-accessible, where no client needs it",
        )
    return ok(found)


def _logins(instance: Instance) -> Answer:
    if not instance["IAMDatabaseAuthenticationEnabled"]:
        return refused(
            "IAM authentication is off: neither the functions nor the scanner could log in",
            next=f"{modify(instance['DBInstanceIdentifier'])} --enable-iam-database-authentication",
        )
    return ok("IAM authentication is on")


def _load(instance: Instance, settings: Settings) -> Answer:
    there, said = bool(instance.get("PerformanceInsightsEnabled")), settings.database.performance_insights
    if there == said:
        left_out = "" if there else "; the alarm database-load is left out"
        return ok(f"Performance Insights is {'on' if there else 'off'}{left_out}")
    if there:
        return warning(
            "Performance Insights is on, and the alarm database-load is left out",
            next="remove database.performance_insights = false",
        )
    return warning(
        "Performance Insights is off: the alarm database-load would never ring",
        next=f"{modify(instance['DBInstanceIdentifier'])} --enable-performance-insights, or "
        "database.performance_insights = false, which leaves the alarm out",
    )


def _deletion(instance: Instance) -> Answer:
    if not instance["DeletionProtection"]:
        return warning(
            "deletion protection is off; this deployment never deletes it, others may",
            next=f"{modify(instance['DBInstanceIdentifier'])} --deletion-protection",
        )
    return ok("deletion protection is on")


def _backups(instance: Instance) -> Answer:
    days = instance["BackupRetentionPeriod"]
    if days == 0:
        return warning(
            "it has no automated backups, so no point in time can be restored",
            # From 0 to another number of days is an outage:
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.Enabling.html
            next=f"aws rds modify-db-instance --db-instance-identifier {instance['DBInstanceIdentifier']} "
            "--backup-retention-period 7    # restarts it, in its maintenance window",
        )
    return ok(f"{days} days of automated backups")


def _growth(instance: Instance, database: DatabaseSettings) -> Answer:
    limit = instance.get("MaxAllocatedStorage") or instance["AllocatedStorage"]
    said = database.max_allocated_storage_gib
    if limit != said:
        return warning(
            f"its disk may grow to {limit} GiB, and database.max_allocated_storage_gib is {said}: the doctor would "
            "compare with that",
            next=f"database.max_allocated_storage_gib = {limit}",
        )
    return ok(f"may grow to {limit} GiB")


def _parameters(instance: Instance) -> Answer:
    group = instance["DBParameterGroups"][0]
    seen = f"{group['DBParameterGroupName']}, {group['ParameterApplyStatus']}"
    if group["DBParameterGroupName"].startswith(DEFAULT_GROUP):
        return warning(
            f"{seen}: no parameter of it can be changed",
            next="make a group of its own, as docs/adopt.md says, before migrate names parameters to set",
        )
    if group["ParameterApplyStatus"] != "in-sync":
        return warning(
            seen,
            next=f"aws rds reboot-db-instance --db-instance-identifier {instance['DBInstanceIdentifier']}",
        )
    return ok(seen)


EXISTING = (Check(name="existing-instance", asked="instance that exists", ask=_existing),)
