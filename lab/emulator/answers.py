"""What moto takes and forgets, or refuses, is kept and answered: else Terraform would set it again with every plan."""

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

# Arguments that a database instance is created with and that moto drops.
INSTANCE_ARGUMENTS = (
    "engine_lifecycle_support",
    "enable_performance_insights",
    "performance_insights_kms_key_id",
    "performance_insights_retention_period",
)
# Of an account that chose no other: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
DEFAULT_CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"


def complete_answers() -> None:
    """Teach moto everything in this file; it has hooks for nothing of it."""
    _after(DBInstance, "__init__", _keep_instance_arguments)
    _add(DBInstance, "performance_insights_enabled", property(_performance_insights_enabled))
    _after(DBParameterGroup, "update_parameters", _name_source_of_parameters)
    _after(SecurityGroupRule, "__init__", _keep_prefix_list)
    _add(SecurityGroupRule, "description", property(_description))
    _after(LambdaFunction, "__init__", _keep_logging_configuration)
    _add(LambdaFunction, "get_configuration", _with_logging_configuration(LambdaFunction.get_configuration))
    _add(Monitoring, "monitor_instances", _monitor_instances)
    _after(Instance, "prep_nics", _delete_interfaces_on_termination)
    _after(Instance, "prep_nics", _take_groups_of_interface)
    _add(NetworkInterface, "association", property(_association_or_none(vars(NetworkInterface)["association"])))
    for revoke in ("revoke_security_group_ingress", "revoke_security_group_egress"):
        _add(SecurityGroupBackend, revoke, _naming_lost_rules(getattr(SecurityGroupBackend, revoke)))
    _add(EC2Response, "call_action", _one_at_a_time(EC2Response.call_action))
    _add(FakeBucket, "get_permission", _permission)


def _add(owner: type, name: str, value: object) -> None:
    setattr(owner, name, value)


def _after(owner: type, name: str, then: Callable[[Any, Mapping[str, Any]], None]) -> None:
    """Call `then` after a method, with the object and with the method's arguments by name."""
    original = getattr(owner, name)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        then(self, signature.bind(self, *args, **kwargs).arguments)
        return result

    _add(owner, name, both)


def _keep_instance_arguments(self: Any, arguments: Mapping[str, Any]) -> None:
    for name in INSTANCE_ARGUMENTS:
        setattr(self, name, arguments.get("kwargs", {}).get(name))
    self.ca_certificate_identifier = arguments.get("ca_certificate_identifier", DEFAULT_CERTIFICATE_AUTHORITY)


def _performance_insights_enabled(self: Any) -> bool:
    return bool(self.enable_performance_insights)


def _name_source_of_parameters(self: Any, arguments: Mapping[str, Any]) -> None:
    """Terraform overlooks parameters that do not say who set them."""
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
    """Answer `MonitorInstances`, which moto refuses and Terraform then repeats for minutes."""
    instances = [self.ec2_backend.get_instance(each) for each in self._get_param("InstanceIds", [])]
    for instance in instances:
        instance.monitoring_state = "enabled"
    monitored = [{"InstanceId": each.id, "Monitoring": each.monitoring} for each in instances]
    return ActionResult({"InstanceMonitorings": monitored})


def _delete_interfaces_on_termination(self: Any, arguments: Mapping[str, Any]) -> None:
    """Let an interface end with the instance that it was made for, as EC2 does, and not one that was there before."""
    given = {each.get("NetworkInterfaceId") for each in arguments["nic_spec"]}
    for interface in self.nics.values():
        interface.delete_on_termination = interface.id not in given


def _take_groups_of_interface(self: Any, _: Mapping[str, Any]) -> None:
    """Name the security groups of an instance that were given with its interface."""
    self.security_groups = self.security_groups or list(self.nics[0].group_set)


def _association_or_none(association: Any) -> Callable[[Any], dict[str, Any] | None]:
    """Leave out the public address that an interface has not: Terraform takes an empty answer for one."""
    return lambda self: association.fget(self) or None


def _naming_lost_rules(revoke: Callable[..., None]) -> Callable[..., None]:
    """Answer a rule that is gone as EC2 does: Terraform knows that error, and whoever sends a request twice is done."""
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
    """Let no two requests change a list at once: moto reads it, filters it and puts it back without a lock."""
    lock = threading.RLock()

    @functools.wraps(call)
    def call_action(self: Any) -> Any:
        with lock:
            return call(self)

    return call_action


def _permission(self: Any, action: str, resource: str) -> PermissionResult:
    """Leave out statements with conditions: moto evaluates none, and takes "deny if not TLS" for "deny"."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(self.policy)
    unconditional = [statement for statement in document["Statement"] if "Condition" not in statement]
    return IAMPolicy(json.dumps({**document, "Statement": unconditional})).is_action_permitted(action, resource)
