"""An instance in the empty emulator, in the place of the one that the settings name and that only the account has.

A plan's data sources need it. Everything that the postconditions ask is as the settings say, so they hold here; whether
they hold of the real instance, only a plan or `scannerdb preflight` with credentials tells.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from handlers.contract.postgres_versions import SUPPORTED
from scannerdb.aws import client
from scannerdb.review.emulator import empty_emulator
from stacks.settings import Settings
from stacks.settings.existing_database import OWN, PRINTED

ANY_GROUP = "sg-00000000000000000"


@contextlib.contextmanager
def emulated_account(settings: Settings) -> Iterator[str]:
    """Start an emulator, empty but for what the settings name as existing, and yield its address."""
    with empty_emulator() as address:
        if settings.database.existing_identifier is not None:
            _make_stand_in(settings.model_copy(update={"aws": settings.aws.model_copy(update={"endpoint": address})}))
        yield address


def _make_stand_in(settings: Settings) -> None:
    """Create an instance as the settings describe it, and the group of its log."""
    database = settings.database
    rules = database.access_rules
    arguments: dict[str, Any] = {
        "DBInstanceIdentifier": database.existing_identifier,
        "Engine": "postgres",
        "EngineVersion": str(SUPPORTED[-1]),
        "DBInstanceClass": database.instance_class,
        "AllocatedStorage": database.allocated_storage_gib,
        "Port": database.port,
        "StorageEncrypted": True,
        "EnableCloudwatchLogsExports": ["postgresql"],
        "VpcSecurityGroupIds": [ANY_GROUP if rules in {OWN, PRINTED} else rules],
        "MasterUsername": database.master_username,
        "ManageMasterUserPassword": True,
    }
    client(settings, "rds").create_db_instance(**arguments)
    client(settings, "logs").create_log_group(logGroupName=settings.rds_database.log_group())
