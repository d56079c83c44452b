"""Patches moto to persist attributes it drops and to answer as AWS does, so a second plan is empty."""

import functools
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.core.responses import ActionResult
from moto.ec2.exceptions import InvalidPermissionNotFoundError, InvalidSecurityGroupRuleIdNotFoundError
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroupBackend, SecurityGroupRule
from moto.ec2.responses import EC2Response
from moto.ec2.responses.monitoring import Monitoring
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.rds.models import DBInstance, DBParameterGroup
from moto.s3.models import FakeBucket

from lab.emulator.patching import after, replace

# Arguments of CreateDBInstance that moto drops.
INSTANCE_ARGUMENTS = (
    "engine_lifecycle_support",
    "enable_performance_insights",
    "performance_insights_kms_key_id",
    "performance_insights_retention_period",
)
# The default of an account that chose none: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
DEFAULT_CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"


def patch_resources() -> None:
    """Patch moto with each function of this file."""
    after(DBInstance, "__init__", _keep_instance_arguments)
    replace(DBInstance, "performance_insights_enabled", property(_performance_insights_enabled))
    after(DBParameterGroup, "update_parameters", _name_source_of_parameters)
    after(SecurityGroupRule, "__init__", _keep_prefix_list)
    replace(SecurityGroupRule, "description", property(_description))
    after(LambdaFunction, "__init__", _keep_logging_configuration)
    replace(LambdaFunction, "get_configuration", _with_logging_configuration(LambdaFunction.get_configuration))
    replace(Monitoring, "monitor_instances", _monitor_instances)
    after(Instance, "prep_nics", _delete_interfaces_on_termination)
    after(Instance, "prep_nics", _take_groups_of_interface)
    replace(NetworkInterface, "association", property(_association_or_none(vars(NetworkInterface)["association"])))
    for revoke in ("revoke_security_group_ingress", "revoke_security_group_egress"):
        replace(SecurityGroupBackend, revoke, _naming_lost_rules(getattr(SecurityGroupBackend, revoke)))
    replace(EC2Response, "call_action", _one_at_a_time(EC2Response.call_action))
    replace(FakeBucket, "get_permission", _permission)


def _keep_instance_arguments(self: Any, arguments: Mapping[str, Any]) -> None:
    for name in INSTANCE_ARGUMENTS:
        setattr(self, name, arguments.get("kwargs", {}).get(name))
    self.ca_certificate_identifier = arguments.get("ca_certificate_identifier", DEFAULT_CERTIFICATE_AUTHORITY)


def _performance_insights_enabled(self: Any) -> bool:
    return bool(self.enable_performance_insights)


def _name_source_of_parameters(self: Any, arguments: Mapping[str, Any]) -> None:
    """Name the source of each parameter: Terraform ignores parameters without one."""
    for new in arguments["new_parameters"]:
        self.parameters[new["ParameterName"]]["Source"] = "user"


def _keep_prefix_list(self: Any, arguments: Mapping[str, Any]) -> None:
    self.prefix_list = arguments.get("prefix_list_id") or {}


def _description(self: Any) -> str | None:
    described: list[dict[str, str]] = [self.ip_range, self.source_group, self.prefix_list]
    return next((each["Description"] for each in described if each.get("Description")), None)


def _keep_logging_configuration(self: Any, arguments: Mapping[str, Any]) -> None:
    self.logging_config = arguments["spec"].get("LoggingConfig")


def _with_logging_configuration(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - moto's signature
        configuration = original(self, on_create)
        return configuration | ({"LoggingConfig": self.logging_config} if self.logging_config else {})

    return get_configuration


def _monitor_instances(self: Any) -> ActionResult:
    """Answer `MonitorInstances`: moto refuses it, and Terraform retries for minutes."""
    instances = [self.ec2_backend.get_instance(each) for each in self._get_param("InstanceIds", [])]
    for instance in instances:
        instance.monitoring_state = "enabled"
    monitored = [{"InstanceId": each.id, "Monitoring": each.monitoring} for each in instances]
    return ActionResult({"InstanceMonitorings": monitored})


def _delete_interfaces_on_termination(self: Any, arguments: Mapping[str, Any]) -> None:
    """Delete an interface with the instance that created it, as EC2 does; keep one that was passed in."""
    given = {each.get("NetworkInterfaceId") for each in arguments["nic_spec"]}
    for interface in self.nics.values():
        interface.delete_on_termination = interface.id not in given


def _take_groups_of_interface(self: Any, _: Mapping[str, Any]) -> None:
    """Report the security groups of its interface as those of the instance."""
    self.security_groups = self.security_groups or list(self.nics[0].group_set)


def _association_or_none(association: Any) -> Callable[[Any], dict[str, Any] | None]:
    """Answer no association where there is no public address: Terraform reads an empty one as an address."""
    return lambda self: association.fget(self) or None


def _naming_lost_rules(revoke: Callable[..., None]) -> Callable[..., None]:
    """Answer a missing rule with EC2's error code: Terraform takes it for a rule that is revoked already."""
    signature = inspect.signature(revoke)

    @functools.wraps(revoke)
    def revoke_by_id(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            revoke(self, *args, **kwargs)
        except InvalidPermissionNotFoundError:
            ids = signature.bind(self, *args, **kwargs).arguments.get("security_rule_ids")
            if not ids:
                raise
            raise InvalidSecurityGroupRuleIdNotFoundError(", ".join(ids)) from None

    return revoke_by_id


def _one_at_a_time(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Serialise requests: moto reads a list, filters it and writes it back without a lock, so updates were lost."""
    lock = threading.RLock()

    @functools.wraps(call)
    def call_action(self: Any) -> Any:
        with lock:
            return call(self)

    return call_action


def _permission(self: Any, action: str, resource: str) -> PermissionResult:
    """Ignore statements with conditions: moto evaluates none, so "deny unless TLS" would deny everything."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(self.policy)
    unconditional = [statement for statement in document["Statement"] if "Condition" not in statement]
    return IAMPolicy(json.dumps({**document, "Statement": unconditional})).is_action_permitted(action, resource)
