"""What must hold of an instance that exists: Terraform checks it while it plans, before it changes anything.

`scannerdb preflight` asks what the data source does not tell.
"""

import json
from collections.abc import Iterator

from handlers.contract import postgres_versions
from stacks.settings import Settings
from stacks.settings.database import DatabaseSettings
from stacks.settings.existing_database import OWN, PRINTED

Condition = dict[str, str]


def postconditions(settings: Settings) -> list[Condition]:
    """Return the `postcondition` blocks of the data source; `self` is the instance."""
    database = settings.database
    return [
        {"condition": f"${{{condition}}}", "error_message": f"{database.existing_identifier}: {seen}. Next: {way_out}"}
        for condition, seen, way_out in (*_instance(database), *_size(database), *_login(database), *_groups(database))
    ]


def modify(identifier: str | None) -> str:
    """Return the beginning of a command that changes an instance at once."""
    return f"aws rds modify-db-instance --db-instance-identifier {identifier} --apply-immediately"


def _instance(database: DatabaseSettings) -> Iterator[tuple[str, str, str]]:
    versions = [str(major) for major in postgres_versions.SUPPORTED]
    yield (
        f'self.engine == "postgres" && contains({json.dumps(versions)}, split(".", self.engine_version)[0])',
        f"it is ${{self.engine}} ${{self.engine_version}}, and postgres {versions[0]} to {versions[-1]} is supported",
        "upgrade it, or name another instance in database.existing_identifier",
    )
    yield (
        "self.storage_encrypted",
        "its storage is not encrypted, and RDS encrypts no instance afterwards",
        "copy a snapshot of it with a key, restore the copy, and name that instance",
    )
    yield (
        'contains(self.enabled_cloudwatch_logs_exports, "postgresql")',
        "it does not export its log, and alarms and metrics are made of it",
        f"{modify(database.existing_identifier)} --cloudwatch-logs-export-configuration EnableLogTypes=postgresql",
    )
    yield (
        f"self.port == {database.port}",
        f"it listens on port ${{self.port}}, and database.port is {database.port}",
        "database.port = ${self.port}",
    )


def _size(database: DatabaseSettings) -> Iterator[tuple[str, str, str]]:
    """Yield what the thresholds of alarms are made of."""
    least, most = database.allocated_storage_gib, database.max_allocated_storage_gib
    yield (
        f'self.db_instance_class == "{database.instance_class}"',
        f"it is a ${{self.db_instance_class}}, and the alarms are those of a {database.instance_class}",
        'database.instance_class = "${self.db_instance_class}"',
    )
    # Storage autoscaling adds to what the instance began with.
    yield (
        f"self.allocated_storage >= {least} && self.allocated_storage <= {most}",
        f"it has ${{self.allocated_storage}} GiB, and the alarms are those of {least} to {most} GiB",
        (
            "database.allocated_storage_gib = ${self.allocated_storage}, and its limit of storage autoscaling as "
            "max_allocated_storage_gib"
        ),
    )


def _login(database: DatabaseSettings) -> Iterator[tuple[str, str, str]]:
    if database.master_secret_arn is not None:
        return
    owner = database.master_username
    yield (
        "try(length(self.master_user_secret), 0) > 0",
        "RDS does not manage its master password",
        (
            f"database.master_secret_arn = a secret with username and password of {owner}, or "
            f"{modify(database.existing_identifier)} --manage-master-user-password, which sets a new password"
        ),
    )
    yield (
        f'self.master_username == "{owner}"',
        f"its master user is ${{self.master_username}}, and database.master_username is {owner}",
        'database.master_username = "${self.master_username}"',
    )


def _groups(database: DatabaseSettings) -> Iterator[tuple[str, str, str]]:
    rules, has = database.access_rules, 'it has the security groups ${join(", ", self.vpc_security_groups)}'
    if rules == OWN:
        yield "length(self.vpc_security_groups) == 1", has, "name the one for our rules in database.access_rules"
    elif rules != PRINTED:
        yield (
            f'contains(self.vpc_security_groups, "{rules}")',
            f"{has}, and database.access_rules is {rules}",
            "name one of these",
        )
