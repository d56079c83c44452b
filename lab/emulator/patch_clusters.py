"""Patches moto's RDS with what Aurora has and moto lacks: names, storage, endpoints of a proxy, a failover."""

import contextlib
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg2
from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.rds.exceptions import RDSClientError
from moto.rds.models import DBCluster, DBClusterParameterGroup, DBProxy, RDSBackend, RDSBaseModel
from moto.rds.responses import RDSResponse

from lab.emulator.patching import after, replace
from lab.emulator.server import CLUSTER_DOMAIN, ENDPOINT_DOMAIN, READERS_DOMAIN

# Arguments of CreateDBCluster that moto drops.
CLUSTER_ARGUMENTS = ("engine_lifecycle_support", "database_insights_mode")
# As long as nothing answers. Aurora takes up to a minute:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.AuroraHighAvailability.html
FAILOVER_S = 5
_ALL_OTHERS = "FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


class DBProxyEndpoint(RDSBaseModel):
    """An additional endpoint of a proxy."""

    resource_type = "db-proxy-endpoint"

    def __init__(self, proxy: DBProxy, arguments: Mapping[str, Any]) -> None:
        super().__init__(proxy.backend)
        self.db_proxy_name = proxy.db_proxy_name
        self.db_proxy_endpoint_name: str = arguments["DBProxyEndpointName"]
        self.target_role: str = arguments.get("TargetRole", "READ_WRITE")
        self.vpc_id = proxy.vpc_id
        self.vpc_subnet_ids: list[str] = arguments["VpcSubnetIds"]
        self.vpc_security_group_ids: list[str] = arguments.get("VpcSecurityGroupIds") or proxy.vpc_security_group_ids
        self.endpoint = f"{self.db_proxy_endpoint_name}.{ENDPOINT_DOMAIN.format(region=self.region)}"
        self.status, self.is_default, self.created_date = "available", False, self.created
        self.unique_id = f"prx-endpoint-{mock_random.get_random_string(17, lower_case=True)}"
        self.tags = arguments.get("Tags", [])

    @property
    def resource_id(self) -> str:
        """By which its ARN ends."""
        return self.unique_id

    @property
    def db_proxy_endpoint_arn(self) -> str:
        """As RDS calls its ARN."""
        return self.arn


def patch_clusters(*, password: str) -> None:
    """Add what moto lacks.

    Args:
        password: of the owner of the database, whose sessions a failover ends.

    """
    replace(DBCluster, "endpoint", property(_named(CLUSTER_DOMAIN)))
    replace(DBCluster, "reader_endpoint", property(_named(READERS_DOMAIN)))
    replace(DBCluster, "default_allocated_storage", staticmethod(lambda engine, storage_type: 1))  # noqa: ARG005
    # Only a cluster of Serverless v1 has one: with an empty block, each plan would take it away.
    replace(DBCluster, "scaling_configuration_info", property(lambda self: self.scaling_configuration or None))
    after(DBCluster, "__init__", _keep_arguments)
    after(DBClusterParameterGroup, "update_cluster_parameters", _name_source_of_parameters)
    replace(RDSResponse, "create_db_proxy_endpoint", _create_endpoint)
    replace(RDSResponse, "describe_db_proxy_endpoints", _describe_endpoints)
    replace(RDSResponse, "modify_db_proxy_endpoint", _modify_endpoint)
    replace(RDSResponse, "delete_db_proxy_endpoint", _delete_endpoint)
    after(RDSBackend, "__init__", _know_endpoints)
    after(RDSBackend, "delete_db_proxy", _delete_endpoints)

    def fail_over(backend: Any, arguments: Mapping[str, Any]) -> None:
        cluster = backend.clusters[arguments["db_cluster_identifier"]]
        login = {"port": int(cluster.port), "user": cluster.master_username, "password": password}
        threading.Thread(target=interrupt, args=(cluster.database_name,), kwargs=login, daemon=True).start()

    after(RDSBackend, "failover_db_cluster", fail_over)


def interrupt(database: str, *, port: int, user: str, password: str) -> None:
    """End every session of a database and take none for a while, as clients see a failover.

    Args:
        database: its name.
        port: of its server on this machine.
        user: its owner.
        password: of the owner.

    """
    connection = psycopg2.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname="postgres", sslmode="require"
    )
    connection.autocommit = True
    # Not `with connection`, which would begin a transaction: others must see the first statement at once.
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        try:
            cursor.execute(f"SELECT pg_terminate_backend(pid) {_ALL_OTHERS}", [database])
            cursor.execute("SELECT pg_sleep(%s)", [FAILOVER_S])
        finally:
            cursor.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")


def endpoints_of(backend: Any, proxy_name: str | None = None) -> list[DBProxyEndpoint]:
    """Return the additional endpoints of one proxy or of all."""
    every: dict[str, DBProxyEndpoint] = backend.db_proxy_endpoints
    return [each for each in list(every.values()) if proxy_name in {None, each.db_proxy_name}]


def _named(domain: str) -> Callable[[Any], str]:
    return lambda self: f"{self.db_cluster_identifier}.{domain.format(region=self.region)}"


def _keep_arguments(self: Any, arguments: Mapping[str, Any]) -> None:
    for name in CLUSTER_ARGUMENTS:
        setattr(self, name, arguments.get("kwargs", {}).get(name))


def _name_source_of_parameters(self: Any, arguments: Mapping[str, Any]) -> None:
    """Name the source of each parameter: Terraform ignores parameters without one."""
    for new in arguments["new_parameters"]:
        self.parameters[new["ParameterName"]]["Source"] = "user"


def _know_endpoints(self: Any, _: Mapping[str, Any]) -> None:
    """Keep the endpoints by the end of their ARN, where their tags are looked for."""
    self.db_proxy_endpoints = self.resource_map[DBProxyEndpoint] = {}
    self.arn_regex = re.compile(self.arn_regex.pattern.replace("|db-proxy|", "|db-proxy|db-proxy-endpoint|"))


def _delete_endpoints(self: Any, arguments: Mapping[str, Any]) -> None:
    for each in endpoints_of(self, arguments["proxy_name"]):
        del self.db_proxy_endpoints[each.unique_id]


def _create_endpoint(self: Any) -> ActionResult:
    (proxy,) = self.backend.describe_db_proxies(self.params["DBProxyName"])
    made = DBProxyEndpoint(proxy, self.params)
    if _named_endpoints(self.backend, made.db_proxy_endpoint_name):
        raise RDSClientError("DBProxyEndpointAlreadyExistsFault", f"{made.db_proxy_endpoint_name} already exists.")
    self.backend.db_proxy_endpoints[made.unique_id] = made
    return ActionResult({"DBProxyEndpoint": made})


def _describe_endpoints(self: Any) -> ActionResult:
    if "DBProxyEndpointName" in self.params:
        return ActionResult({"DBProxyEndpoints": [_endpoint(self)]})
    return ActionResult({"DBProxyEndpoints": endpoints_of(self.backend, self.params.get("DBProxyName"))})


def _modify_endpoint(self: Any) -> ActionResult:
    found = _endpoint(self)
    found.vpc_security_group_ids = self.params.get("VpcSecurityGroupIds", found.vpc_security_group_ids)
    return ActionResult({"DBProxyEndpoint": found})


def _delete_endpoint(self: Any) -> ActionResult:
    found = _endpoint(self)
    del self.backend.db_proxy_endpoints[found.unique_id]
    return ActionResult({"DBProxyEndpoint": found})


def _endpoint(response: Any) -> DBProxyEndpoint:
    name: str = response.params["DBProxyEndpointName"]
    found = _named_endpoints(response.backend, name)
    if not found:
        raise RDSClientError("DBProxyEndpointNotFoundFault", f"DB proxy endpoint {name} not found.")
    return found[0]


def _named_endpoints(backend: Any, name: str) -> list[DBProxyEndpoint]:
    return [each for each in endpoints_of(backend) if each.db_proxy_endpoint_name == name]
