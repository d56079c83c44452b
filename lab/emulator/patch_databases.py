"""Patches moto's RDS: host names that the server's certificate covers, and the real password in the managed secret."""

import json
from collections.abc import Mapping
from typing import Any

from moto.rds.models import DBInstance, DBProxy, MasterUserSecret

from lab.emulator.patching import after, replace
from lab.emulator.server import INSTANCE_DOMAIN, PROXY_DOMAIN


def patch_databases(*, password: str) -> None:
    """Name instances and proxies, and put this password into every managed secret."""

    def secret_string(self: MasterUserSecret) -> str:
        return json.dumps({"username": self.resource.master_username, "password": password})

    replace(MasterUserSecret, "_generate_secret_string", secret_string)
    replace(DBInstance, "address", property(_address))
    after(DBProxy, "__init__", _name_endpoint)


def _address(self: DBInstance) -> str:
    return f"{self.db_instance_identifier}.{INSTANCE_DOMAIN.format(region=self.region)}"


def _name_endpoint(self: Any, _: Mapping[str, Any]) -> None:
    self.endpoint = f"{self.db_proxy_name}.{PROXY_DOMAIN.format(region=self.region)}"
