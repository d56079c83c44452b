"""Whether RDS offers the engine version and the instance class in the zones of the settings."""

from collections.abc import Iterator
from typing import Any

from scannerdb.checks.model import Answer, Check, Context, not_answered, ok, refused, warning
from scannerdb.preflight.network import zones
from stacks.settings.database import DatabaseSettings

# What the stack asks of the instance, by the flag of DescribeOrderableDBInstanceOptions that offers it.
FEATURES = {
    "SupportsIAMDatabaseAuthentication": "IAM logins",
    "SupportsEnhancedMonitoring": "Enhanced Monitoring",
    "SupportsPerformanceInsights": "Performance Insights",
    "SupportsStorageEncryption": "encryption",
}
FEATURES_OF_AN_INSTANCE = {"SupportsStorageAutoscaling": "storage autoscaling"}
ZONES_OF_TWO = 2


def _storage_type(settings: DatabaseSettings) -> str:
    if settings.is_cluster:
        return "aurora-iopt1" if settings.io_optimized else "aurora"
    return "gp3"


def _versions(context: Context, **which: Any) -> list[str]:
    engine = context.settings.database.engine
    pages = context.aws("rds").get_paginator("describe_db_engine_versions").paginate(Engine=engine, **which)
    return [version["EngineVersion"] for page in pages for version in page["DBEngineVersions"]]


def _created_version(context: Context) -> str | None:
    """Return the version that RDS creates for that of the settings, which may be a major version; `None` for none.

    Of a major version that is the default, or the newest where RDS names no default.
    """
    wanted = context.settings.database.engine_version
    is_major = "." not in wanted
    found = _versions(context, EngineVersion=wanted, DefaultOnly=is_major)
    if is_major and not found:
        found = _of_major(context, wanted)
    return found[-1] if found else None


def _of_major(context: Context, major: str) -> list[str]:
    """Return the versions of a major version that RDS creates, in its order, which is the oldest first."""
    return [version for version in _versions(context) if version.partition(".")[0] == major]


def _engine_version(context: Context) -> Iterator[Answer]:
    if existing := context.settings.database.existing_identifier:
        yield ok(f"that of {existing}")
        return
    engine, wanted = context.settings.database.engine, context.settings.database.engine_version
    if created := _created_version(context):
        yield ok(f"{wanted} creates {engine} {created}")
        return
    major = wanted.partition(".")[0]
    offered = ", ".join(_of_major(context, major)) or "none"
    yield refused(
        f"RDS creates no {engine} {wanted} in {context.settings.region}; of {major} it offers {offered}",
        next="set database.engine_version to one of them, or to the major version alone",
    )


def _instance_class(context: Context) -> Iterator[Answer]:
    database = context.settings.database
    if database.existing_identifier:
        yield ok(f"that of {database.existing_identifier}")
        return
    version, wanted = _created_version(context), zones(context)
    if version is None:
        yield not_answered(f"not asked: RDS creates no {database.engine} {database.engine_version} here")
        return
    pages = (
        context.aws("rds")
        .get_paginator("describe_orderable_db_instance_options")
        .paginate(Engine=database.engine, EngineVersion=version, DBInstanceClass=database.instance_class, Vpc=True)
    )
    options = [option for page in pages for option in page["OrderableDBInstanceOptions"]]
    storage_type = _storage_type(database)
    here = [option for option in options if option["StorageType"] == storage_type]
    offered = {zone["Name"] for option in here for zone in option["AvailabilityZones"]}
    got = [zone for zone in wanted if zone in offered]
    what = f"{database.instance_class} with {storage_type} for {version}"
    needed = ZONES_OF_TWO if database.multi_az or database.readers else 1
    if len(got) < needed:
        yield refused(
            f"{what} is offered in {', '.join(sorted(offered)) or 'no zone of this region'}, "
            f"and {needed} of {', '.join(wanted)} needed",
            next="choose another database.instance_class or other zones",
        )
        return
    yield from _lacking(context, here, what)
    if missing := [zone for zone in wanted if zone not in offered]:
        yield warning(
            f"{what} is not offered in {', '.join(missing)}: the instance cannot move there",
            next="choose zones that offer it before the first deploy; a change later replaces the proxy",
        )
    else:
        yield ok(f"{what} in {', '.join(got)}")


def _lacking(context: Context, options: list[dict[str, Any]], what: str) -> Iterator[Answer]:
    """Yield what the class cannot do and the stack asks for."""
    database = context.settings.database
    of_an_instance = {} if database.is_cluster else FEATURES_OF_AN_INSTANCE
    features = {**FEATURES, **of_an_instance, **({"MultiAZCapable": "a standby"} if database.multi_az else {})}
    for flag, feature in features.items():
        if not any(option.get(flag, True) for option in options):
            yield refused(f"{what} has no {feature}", next="choose another database.instance_class")
    sizes = [option["MaxStorageSize"] for option in options if "MaxStorageSize" in option]
    if sizes and max(sizes) < database.max_allocated_storage_gib:
        yield refused(
            f"{what} takes {max(sizes)} GiB at most, and max_allocated_storage_gib is "
            f"{database.max_allocated_storage_gib}",
            next="lower database.max_allocated_storage_gib",
        )


DATABASE = (
    Check(name="engine-version", asked="engine version", ask=_engine_version),
    Check(name="instance-class", asked="instance class in the zones", ask=_instance_class),
)
