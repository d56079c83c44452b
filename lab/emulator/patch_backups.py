"""Patches moto's RDS so that snapshots and restores hold data, and a restored instance is what RDS makes of it."""

import secrets
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.rds.exceptions import DBInstanceNotFoundError, InvalidParameterValue
from moto.rds.models import DBInstance, DBSnapshot, RDSBackend, rds_backends

from lab.emulator.database_servers import DatabaseServers, NoBackupError
from lab.emulator.patching import after, before, replace

# Of a request, not of an instance.
OF_A_RESTORE = (
    *("source_db_instance_identifier", "source_dbi_resource_id", "source_db_instance_automated_backups_arn"),
    *("target_db_instance_identifier", "restore_time", "use_latest_restorable_time"),
)
AUTOMATED = "automated"


def patch_backups(servers: DatabaseServers) -> None:
    """Let every snapshot that is asked for hold data, and every restore give it back."""
    # By resource id: what RDS keeps the automated backups of, after the instance is deleted.
    retained: dict[str, Any] = {}
    after(DBInstance, "__init__", _give_resource_id)
    after(RDSBackend, "create_db_snapshot", _take(servers))
    after(RDSBackend, "copy_db_snapshot", _copy(servers))
    before(RDSBackend, "delete_db_instance", _retain(retained))
    after(RDSBackend, "delete_db_instance", _drop(servers, retained))
    from_snapshot = RDSBackend.restore_db_instance_from_db_snapshot
    replace(RDSBackend, "restore_db_instance_from_db_snapshot", _from_snapshot(from_snapshot, servers))
    replace(RDSBackend, "restore_db_instance_to_point_in_time", _to_point_in_time(from_snapshot, servers, retained))


def database_ports(servers: DatabaseServers, region: str, account_id: str) -> dict[str, int]:
    """Return host name -> port of what leads to a restored instance: its own name, and that of its proxy."""
    by_identifier = servers.ports()
    if not by_identifier:
        return {}
    backend = rds_backends[account_id][region]
    hosts = {each.db_instance_identifier: [each.address] for each in list(backend.databases.values())}
    for proxy in list(backend.db_proxies.values()):
        for target in proxy.proxy_target_groups["default"].targets:
            hosts.get(target.rds_resource_id, []).append(proxy.endpoint)
    return {host: port for identifier, port in by_identifier.items() for host in hosts.get(identifier, [])}


def _give_resource_id(self: Any, _: Mapping[str, Any]) -> None:
    """Give each instance an id of its own: Terraform waits for a restore by it."""
    alphabet = string.ascii_uppercase + string.digits
    self.dbi_resource_id = "db-" + "".join(secrets.choice(alphabet) for _ in range(26))


def _take(servers: DatabaseServers) -> Callable[[Any, Mapping[str, Any]], None]:
    def take(_: Any, arguments: Mapping[str, Any]) -> None:
        # moto makes an automated snapshot with each instance.
        if arguments.get("snapshot_type") != AUTOMATED:
            servers.take(arguments["db_snapshot_identifier"], arguments["db_instance_identifier"])

    return take


def _copy(servers: DatabaseServers) -> Callable[[Any, Mapping[str, Any]], None]:
    return lambda _, arguments: servers.copy(
        _name(arguments["source_db_snapshot_identifier"]), arguments["target_db_snapshot_identifier"]
    )


def _retain(retained: dict[str, Any]) -> Callable[[Any, Mapping[str, Any]], None]:
    def retain(self: Any, arguments: Mapping[str, Any]) -> None:
        database = self.databases.get(arguments["db_instance_identifier"])
        if database is not None and not _deletes_backups(arguments):
            retained[database.dbi_resource_id] = database

    return retain


def _drop(servers: DatabaseServers, retained: dict[str, Any]) -> Callable[[Any, Mapping[str, Any]], None]:
    def drop(_: Any, arguments: Mapping[str, Any]) -> None:
        identifier = arguments["db_instance_identifier"]
        # The server of a retained instance stands for its backups.
        if identifier not in {each.db_instance_identifier for each in retained.values()}:
            servers.drop(identifier)

    return drop


def _deletes_backups(arguments: Mapping[str, Any]) -> bool:
    return str(arguments.get("delete_automated_backups", True)).lower() != "false"


def _from_snapshot(restore: Callable[..., Any], servers: DatabaseServers) -> Callable[..., Any]:
    def from_snapshot(self: Any, from_snapshot_id: str, overrides: dict[str, Any]) -> Any:
        instance = restore(self, from_snapshot_id, overrides)
        _unmanage_password(instance)
        _refusing(self, instance, lambda: servers.restore(_name(from_snapshot_id), instance.db_instance_identifier))
        return instance

    return from_snapshot


def _to_point_in_time(
    restore: Callable[..., Any], servers: DatabaseServers, retained: Mapping[str, Any]
) -> Callable[..., Any]:
    """Restore from a snapshot of this moment: moto's own way copies the whole account."""

    def to_point_in_time(self: Any, source_db_identifier: str, target_db_identifier: str, overrides: Any) -> Any:
        source = _source(self, source_db_identifier, overrides.get("SourceDbiResourceId"), retained)
        until = overrides.get("RestoreTime")
        if until is not None and until.replace(tzinfo=UTC) > datetime.now(tz=UTC):
            raise InvalidParameterValue(f"The specified time {until} is after the latest restorable time.")
        chosen = {name: value for name, value in overrides.items() if name not in OF_A_RESTORE}
        chosen["db_instance_identifier"] = target_db_identifier
        name = f"rds:{target_db_identifier}-of-this-moment"
        self.database_snapshots[name] = DBSnapshot(self, source, name, AUTOMATED)
        try:
            instance = restore(self, name, chosen)
        finally:
            del self.database_snapshots[name]
        _unmanage_password(instance)
        at = until.replace(tzinfo=UTC) if until is not None else None
        identifier = instance.db_instance_identifier
        _refusing(self, instance, lambda: servers.restore_until(source.db_instance_identifier, identifier, at))
        return instance

    return to_point_in_time


def _source(backend: Any, identifier: str | None, resource_id: str | None, retained: Mapping[str, Any]) -> Any:
    if identifier is not None:
        return backend.describe_db_instances(db_instance_identifier=identifier)[0]
    living = {each.dbi_resource_id: each for each in backend.databases.values()}
    found = {**retained, **living}.get(str(resource_id))
    if found is None:
        raise DBInstanceNotFoundError(str(resource_id))
    return found


def _unmanage_password(instance: Any) -> None:
    """RDS manages the password of a restored PostgreSQL instance only when it is modified to.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
    """
    if instance.manage_master_user_password:
        instance.master_user_secret.delete_secret()
        del instance.master_user_secret
        instance.manage_master_user_password = False
        instance.master_user_password = None


def _refusing(backend: Any, instance: Any, start: Callable[[], None]) -> None:
    try:
        start()
    except NoBackupError as error:
        del backend.databases[instance.db_instance_identifier]
        raise InvalidParameterValue(str(error)) from error


def _name(snapshot: str) -> str:
    """Return the name of a snapshot that may be named by its ARN."""
    return snapshot.partition(":snapshot:")[2] or snapshot
