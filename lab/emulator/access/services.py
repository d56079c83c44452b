"""What AWS services do with the roles, keys, topics and functions of a deployment, each by its own documentation.

The emulator runs no schedule and rings no alarm, so these uses are derived from what is deployed.
"""

from collections.abc import Iterator, Mapping

from lab.emulator.access.account import Account, Function, Machine
from lab.emulator.access.decisions import Use

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
# Resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
INTERFACE_ACTIONS = ("DeleteNetworkInterface", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")
FIND_ACTIONS = ("DescribeNetworkInterfaces", "DescribeSubnets")
ATTACH_ACTIONS = tuple(f"ec2:{each}" for each in ("CreateNetworkInterface", *INTERFACE_ACTIONS, *FIND_ACTIONS))
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
LOG_KEY_ACTIONS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")
# https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
FLOW_LOG_ACTIONS = ("CreateLogStream", "PutLogEvents", "DescribeLogStreams")
# The group and the actions of AWS's own policy AmazonRDSEnhancedMonitoringRole.
MONITORING_GROUP = "log-group:RDSOSMetrics"
MONITORING_GROUP_ACTIONS = ("CreateLogGroup", "PutRetentionPolicy")
MONITORING_STREAM_ACTIONS = ("CreateLogStream", "PutLogEvents", "DescribeLogStreams", "GetLogEvents")
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
SESSION_MANAGER_ACTIONS = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)


def service_uses(account: Account) -> Iterator[Use]:
    """Yield every use that AWS services make of a deployment."""
    for function in account.functions:
        yield from lambda_uses(account, function)
    for machine in account.machines:
        yield from _session_manager_uses(account, machine)
    for arn in account.log_groups:
        yield from log_group_uses(account, arn)
    for proxy in account.proxies:
        yield assume(account, proxy.role, "rds.amazonaws.com")
    for route in account.api_routes:
        yield route_use(account, route)
    yield from _monitoring_uses(account)
    yield from _flow_log_uses(account)
    yield from _schedule_uses(account)
    yield from _messages(account)


def lambda_uses(account: Account, function: Function) -> Iterator[Use]:
    """Yield what Lambda itself does in a function's role, before and around the function's own code."""
    yield assume(account, function.role, "lambda.amazonaws.com")

    def use(action: str, resource: str) -> Use:
        return Use(by=function.name, action=action, resource=resource, role=function.role)

    if function.place is not None:
        subnets = [f"subnet/{each}" for each in function.place.subnet_ids]
        groups = [f"security-group/{each}" for each in function.place.group_ids]
        for resource in ("network-interface/*", *subnets, *groups):
            yield use("ec2:CreateNetworkInterface", account.arn("ec2", resource))
        for action in INTERFACE_ACTIONS:
            yield use(f"ec2:{action}", account.arn("ec2", "network-interface/*"))
        for action in FIND_ACTIONS:
            yield use(f"ec2:{action}", "*")
    if function.arn in account.keys:
        yield use("kms:Decrypt", account.keys[function.arn])
    yield from log_uses(function)
    if function.is_traced:
        for action in ("PutTraceSegments", "PutTelemetryRecords"):
            yield use(f"xray:{action}", "*")


def log_uses(function: Function) -> Iterator[Use]:
    """Yield what Lambda does in a function's role in order to write its log."""
    for action in ("CreateLogStream", "PutLogEvents"):
        stream = f"{function.log_group_arn}:log-stream:0"
        yield Use(by=function.name, action=f"logs:{action}", resource=stream, role=function.role)


def log_group_uses(account: Account, arn: str, key: str | None = None) -> Iterator[Use]:
    """Yield what CloudWatch Logs does with the key of a log group."""
    key = key or account.keys.get(arn)
    if key is None:
        return
    for action in LOG_KEY_ACTIONS:
        yield Use(
            by="CloudWatch Logs",
            action=f"kms:{action}",
            resource=key,
            service=f"logs.{account.region}.amazonaws.com",
            context={"kms:EncryptionContext:aws:logs:arn": arn},
        )


def route_use(account: Account, route: str) -> Use:
    """Return the invocation of a function by a route of an HTTP API."""
    return Use(
        by="API Gateway",
        action="lambda:InvokeFunction",
        resource=account.api_routes[route],
        service="apigateway.amazonaws.com",
        context={"aws:SourceArn": route, "aws:SourceAccount": account.id},
    )


def assume(account: Account, role: str, service: str) -> Use:
    """Return the beginning of a service's session in a role."""
    return Use(
        by=service.partition(".")[0],
        action="sts:AssumeRole",
        resource=role,
        service=service,
        context={"aws:SourceAccount": account.id},
    )


def _messages(account: Account) -> Iterator[Use]:
    """Yield what alarms and rules of EventBridge publish; EventBridge sends no condition key to the topic.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
    """

    def publish(by: str, service: str, topic: str, context: Mapping[str, str]) -> Use:
        return Use(by=by, action="sns:Publish", resource=topic, service=service, context=context)

    for arn, topics in account.alarms.items():
        source = {"aws:SourceArn": arn, "aws:SourceAccount": account.id}
        for topic in topics:
            yield publish("CloudWatch alarms", "cloudwatch.amazonaws.com", topic, source)
    for topics in account.event_rules.values():
        for topic in topics:
            yield publish("EventBridge", "events.amazonaws.com", topic, {})


def _monitoring_uses(account: Account) -> Iterator[Use]:
    group = account.arn("logs", MONITORING_GROUP)
    streams = dict.fromkeys(MONITORING_STREAM_ACTIONS, f"{group}:log-stream:0")
    for role in {each.monitoring_role for each in account.instances} - {None}:
        assert role is not None
        yield assume(account, role, "monitoring.rds.amazonaws.com")
        for action, resource in (dict.fromkeys(MONITORING_GROUP_ACTIONS, group) | streams).items():
            yield Use(by="RDS monitoring", action=f"logs:{action}", resource=resource, role=role)


def _flow_log_uses(account: Account) -> Iterator[Use]:
    for role, log_group in account.flow_logs.items():
        yield assume(account, role, "vpc-flow-logs.amazonaws.com")
        for action in FLOW_LOG_ACTIONS:
            # Of log groups' actions too, IAM sees the ARN with something behind the name.
            yield Use(by="VPC flow logs", action=f"logs:{action}", resource=f"{log_group}:log-stream:eni-0", role=role)


def _schedule_uses(account: Account) -> Iterator[Use]:
    for role, function_arn in account.schedules.values():
        yield assume(account, role, "scheduler.amazonaws.com")
        yield Use(by="EventBridge Scheduler", action="lambda:InvokeFunction", resource=function_arn, role=role)


def _session_manager_uses(account: Account, machine: Machine) -> Iterator[Use]:
    yield assume(account, machine.role, "ec2.amazonaws.com")
    context = {"aws:Ec2InstanceSourceVpc": account.subnets[machine.place.subnet_ids[0]].vpc_id}
    for action in SESSION_MANAGER_ACTIONS:
        yield Use(by=machine.name, action=action, resource="*", role=machine.role, place=machine.place, context=context)
