"""Patches moto with actions that it lacks: composite alarms, saved queries of CloudWatch Logs, a proxy that changes."""

import json
import uuid
from typing import Any

from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.responses import LogsResponse
from moto.rds.responses import RDSResponse

from lab.emulator.patching import replace

# Arguments of ModifyDBProxy, and the attribute of a proxy that each changes.
PROXY_ARGUMENTS = {
    "Auth": "auth",
    "DebugLogging": "debug_logging",
    "IdleClientTimeout": "idle_client_timeout",
    "RequireTLS": "require_tls",
    "RoleArn": "role_arn",
    "SecurityGroups": "vpc_security_group_ids",
}
# The arguments of PutQueryDefinition that are stored.
DEFINITION_ARGUMENTS = ("name", "queryString", "logGroupNames", "queryLanguage")


def patch_actions() -> None:
    """Add each action of this file to moto."""
    # PutMetricAlarm of moto stores an AlarmRule and answers with it; only the action's name is missing.
    replace(CloudWatchResponse, "put_composite_alarm", CloudWatchResponse.put_metric_alarm)
    replace(RDSResponse, "modify_db_proxy", _modify_db_proxy)
    replace(LogsResponse, "put_query_definition", _put_query_definition)
    replace(LogsResponse, "describe_query_definitions", _describe_query_definitions)
    replace(LogsResponse, "delete_query_definition", _delete_query_definition)


def _modify_db_proxy(self: Any) -> ActionResult:
    (proxy,) = self.backend.describe_db_proxies(self.params["DBProxyName"])
    for argument, attribute in PROXY_ARGUMENTS.items():
        if self.params.get(argument) is not None:
            setattr(proxy, attribute, self.params[argument])
    return ActionResult({"DBProxy": proxy})


def _definitions(response: Any) -> dict[str, dict[str, Any]]:
    """Return the saved queries of the caller's account and region by their id."""
    definitions: dict[str, dict[str, Any]] = vars(response.logs_backend).setdefault("query_definitions", {})
    return definitions


def _put_query_definition(self: Any) -> str:
    id_ = self._get_param("queryDefinitionId") or str(uuid.uuid4())
    said = {name: self._get_param(name) for name in DEFINITION_ARGUMENTS}
    _definitions(self)[id_] = {"queryDefinitionId": id_} | {name: value for name, value in said.items() if value}
    return json.dumps({"queryDefinitionId": id_})


def _describe_query_definitions(self: Any) -> str:
    prefix = self._get_param("queryDefinitionNamePrefix") or ""
    found = [each for each in _definitions(self).values() if each["name"].startswith(prefix)]
    return json.dumps({"queryDefinitions": sorted(found, key=lambda each: each["name"])})


def _delete_query_definition(self: Any) -> str:
    if _definitions(self).pop(self._get_param("queryDefinitionId"), None) is None:
        raise ResourceNotFoundException
    return json.dumps({"success": True})
