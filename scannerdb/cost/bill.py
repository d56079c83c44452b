"""The monthly bill of a deployment: every resource of the stack that AWS bills, times its list price.

A test compares the counts with the synthesised stack, so that a new endpoint or alarm is not forgotten here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scannerdb.cost.prices import Price, Prices
from stacks.alarms import catalogue
from stacks.settings import Settings
from stacks.settings.rds_offers import AURORA

HOURS = 730
DAYS = 365 / 12
SECONDS = DAYS * 86_400
MILLION = 1_000_000

# The same for every environment.
INTERFACE_ENDPOINTS = 4
BASTION_STORAGE_GIB = 8
SECRETS = 1
KEYS = 1
COMPOSITE_ALARMS = 1
DASHBOARDS = 1
# Those of the functions' logs, and one for each metric filter on the database's log.
CUSTOM_METRICS = 14 + 2
# RDS Proxy bills two virtual CPUs at least; of Serverless v2 it bills capacity at the same price, and eight units at
# least: https://aws.amazon.com/rds/proxy/pricing/
LEAST_PROXY_VCPUS = 2
LEAST_PROXY_ACUS = 8
# What I/O-Optimized adds to the price of an instance and of capacity; see prices.toml.
IO_OPTIMIZED = 1.3

# Estimates: measured on the embedded server, or AWS's own figure.
STATUS_SECONDS = 0.02
REFRESH_SECONDS = 0.5
# CloudWatch Logs bills storage compressed, to 0.15 as its pricing page puts it.
LOG_COMPRESSION = 0.15
# X-Ray traces one request a second and 5 % of what is beyond.
TRACED_SHARE = 0.05
ARTIFACTS_GIB = 0.5


@dataclass(frozen=True, kw_only=True)
class Use:
    """Assumptions about the use of the deployment; each is an option of the command."""

    requests_per_day: int = 10_000
    logs_gib_per_day: float = 0.1
    cluster_gib: int = 500
    cluster_io_millions: int = 1000
    free_tier: bool = False


@dataclass(frozen=True, kw_only=True)
class BillItem:
    """One item of the bill; `assumes` names the assumption behind its quantity.

    `row` is what it has in common with an item of another deployment, where their resources have other names.
    """

    resource: str
    row: str = ""
    quantity: float
    price: Price
    assumes: str = ""
    free: float = 0

    @property
    def usd(self) -> float:
        """USD a month."""
        return max(self.quantity - self.free, 0) * self.price.usd


def bill(settings: Settings, use: Use) -> list[BillItem]:
    """Return the items of a month.

    Raises:
        OperatorError: the table of prices lacks the region or the instance class.

    """
    prices = Prices.of(settings.region)
    lines = [*_database(settings, prices, use), *_network(settings, prices), *_watch(settings, prices, use)]
    lines += _traffic(settings, prices, use)
    if use.free_tier:
        return [BillItem(**{**vars(line), "free": line.price.free}) for line in lines]
    return lines


def _database(settings: Settings, prices: Prices, use: Use) -> Iterator[BillItem]:
    # What a database that exists costs already, its owner pays.
    if settings.database.existing_identifier is None:
        yield from _cluster(settings, prices, use) if settings.database.is_cluster else _instance(settings, prices)
        yield BillItem(resource="master secret", quantity=SECRETS, price=prices["secret_month"])
    yield _proxy(settings, prices)
    yield BillItem(resource="encryption key", quantity=KEYS, price=prices["key_month"])


def _instance(settings: Settings, prices: Prices) -> Iterator[BillItem]:
    database = settings.database
    zones, twice = (2, ", with its standby") if database.multi_az else (1, "")
    yield BillItem(
        resource=f"database {database.instance_class}{twice}",
        row="database",
        quantity=HOURS * zones,
        price=prices.instance(database.instance_class),
    )
    yield BillItem(
        resource=f"storage, {database.allocated_storage_gib} GiB gp3{twice}",
        row="storage",
        quantity=database.allocated_storage_gib * zones,
        price=prices["db_storage_gib_month"],
    )


def _cluster(settings: Settings, prices: Prices, use: Use) -> Iterator[BillItem]:
    database = settings.database
    instances = 1 + database.readers
    named = f"database, {instances} {database.instance_class}"
    factor = IO_OPTIMIZED if database.io_optimized else 1
    if database.capacity:
        yield BillItem(
            resource=f"{named}, {database.capacity.mean_acus:g} ACUs",
            row="database",
            quantity=HOURS * instances * database.capacity.mean_acus,
            price=prices["aurora_acu_hour"].times(factor),
            assumes="capacity half way between its least and its most",
        )
    else:
        price = prices.instance(database.instance_class, AURORA).times(factor)
        yield BillItem(resource=named, row="database", quantity=HOURS * instances, price=price)
    yield BillItem(
        resource=f"storage, {use.cluster_gib} GiB of a cluster's volume",
        row="storage",
        quantity=use.cluster_gib,
        price=prices["aurora_optimized_storage_gib_month" if database.io_optimized else "aurora_storage_gib_month"],
        assumes=f"{use.cluster_gib} GiB in a cluster",
    )
    if not database.io_optimized:
        yield BillItem(
            resource="reads and writes of the volume",
            quantity=use.cluster_io_millions,
            price=prices["aurora_io_million"],
            assumes=f"{use.cluster_io_millions:,} million reads and writes of a cluster's volume a month",
        )


def _proxy(settings: Settings, prices: Prices) -> BillItem:
    """Return what the proxy costs for all instances behind it."""
    database, instances = settings.database, 1 + settings.database.readers
    if database.capacity:
        each, unit = max(database.capacity.mean_acus, LEAST_PROXY_ACUS), "ACUs"
    else:
        each, unit = max(database.size.vcpus, LEAST_PROXY_VCPUS), "vCPUs"
    return BillItem(
        resource=f"proxy, {instances * each:g} {unit}",
        row="proxy",
        quantity=HOURS * instances * each,
        price=prices["db_proxy_vcpu_hour"],
    )


def _network(settings: Settings, prices: Prices) -> Iterator[BillItem]:
    if settings.network.has_endpoints:
        zones = len(settings.network.subnet_ids or settings.network.availability_zones)
        yield BillItem(
            resource=f"{INTERFACE_ENDPOINTS} interface endpoints in {zones} zones",
            quantity=HOURS * INTERFACE_ENDPOINTS * zones,
            price=prices["interface_endpoint_hour"],
        )
    if settings.database.readers:
        zones = len(settings.network.subnet_ids or settings.network.availability_zones)
        yield BillItem(
            resource=f"endpoint of the readers in {zones} zones",
            quantity=HOURS * zones,
            price=prices["interface_endpoint_hour"],
        )
    yield BillItem(resource="bastion t4g.nano", quantity=HOURS, price=prices["bastion_hour"])
    yield BillItem(
        resource=f"bastion's disk, {BASTION_STORAGE_GIB} GiB gp3",
        quantity=BASTION_STORAGE_GIB,
        price=prices["bastion_storage_gib_month"],
    )


def _watch(settings: Settings, prices: Prices, use: Use) -> Iterator[BillItem]:
    alarms = catalogue(settings, api_id="")
    metrics = alarm_metrics(settings)
    yield BillItem(
        resource=f"{len(alarms)} alarms on {metrics} metrics",
        row="alarms",
        quantity=metrics,
        price=prices["alarm_metric_month"],
    )
    yield BillItem(resource="composite alarm", quantity=COMPOSITE_ALARMS, price=prices["composite_alarm_month"])
    yield BillItem(
        resource="custom metrics",
        quantity=CUSTOM_METRICS,
        price=prices["custom_metric_month"],
        assumes="every custom metric in use",
    )
    yield BillItem(resource="dashboard", quantity=DASHBOARDS, price=prices["dashboard_month"])
    assumes = f"{use.logs_gib_per_day:g} GiB of logs a day"
    yield BillItem(resource="logs", quantity=use.logs_gib_per_day * DAYS, price=prices["log_gib"], assumes=assumes)
    days = settings.functions.log_retention_days
    yield BillItem(
        resource=f"logs, kept {days} days",
        row="logs, kept",
        quantity=use.logs_gib_per_day * days * LOG_COMPRESSION,
        price=prices["log_storage_gib_month"],
        assumes=assumes,
    )


def _traffic(settings: Settings, prices: Prices, use: Use) -> Iterator[BillItem]:
    requests = use.requests_per_day * DAYS
    refreshes = SECONDS / settings.schedule.refresh_interval_s
    verifications = DAYS
    memory_gib = settings.functions.memory_mib / 1024
    asked = f"{use.requests_per_day:,} requests a day"
    yield BillItem(resource="HTTP API", quantity=requests / MILLION, price=prices["api_million"], assumes=asked)
    invocations = requests + refreshes + verifications
    yield BillItem(
        resource="functions",
        quantity=invocations / MILLION,
        price=prices["lambda_million"],
        assumes=asked,
    )
    yield BillItem(
        resource=f"functions' time, {settings.functions.memory_mib} MiB",
        quantity=memory_gib * (requests * STATUS_SECONDS + (refreshes + verifications) * REFRESH_SECONDS),
        price=prices["lambda_gib_second"],
        assumes=f"{1000 * STATUS_SECONDS:.0f} ms a request, {1000 * REFRESH_SECONDS:.0f} ms a refresh",
    )
    yield BillItem(
        resource="schedules", quantity=(refreshes + verifications) / MILLION, price=prices["schedule_million"]
    )
    yield BillItem(
        resource="traces",
        quantity=(requests * TRACED_SHARE + refreshes) / MILLION,
        price=prices["trace_million"],
        assumes=f"{TRACED_SHARE:.0%} of requests traced",
    )
    yield BillItem(
        resource="bucket of releases",
        quantity=ARTIFACTS_GIB,
        price=prices["object_storage_gib_month"],
        assumes=f"{ARTIFACTS_GIB} GiB of releases",
    )


def alarm_metrics(settings: Settings) -> int:
    """Return how many metrics the alarms are billed for: each input of metric math, and one for a query."""
    return sum(max(len(alarm.metrics()), 1) for alarm in catalogue(settings, api_id=""))
