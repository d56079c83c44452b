"""All that an emulated account holds, as the services themselves list it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.emulator.server import Emulator

# Service, operation, where in its answer the list is.
LISTS = (
    ("apigatewayv2", "get_apis", "Items"),
    ("cloudwatch", "describe_alarms", "MetricAlarms"),
    ("cloudwatch", "describe_alarms", "CompositeAlarms"),
    ("cloudwatch", "list_dashboards", "DashboardEntries"),
    ("ec2", "describe_flow_logs", "FlowLogs"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces"),
    ("ec2", "describe_route_tables", "RouteTables"),
    ("ec2", "describe_security_group_rules", "SecurityGroupRules"),
    ("ec2", "describe_security_groups", "SecurityGroups"),
    ("ec2", "describe_subnets", "Subnets"),
    ("ec2", "describe_volumes", "Volumes"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints"),
    ("ec2", "describe_vpcs", "Vpcs"),
    ("events", "list_rules", "Rules"),
    ("iam", "list_instance_profiles", "InstanceProfiles"),
    ("iam", "list_roles", "Roles"),
    ("kms", "list_aliases", "Aliases"),
    ("lambda", "list_functions", "Functions"),
    ("logs", "describe_log_groups", "logGroups"),
    ("logs", "describe_query_definitions", "queryDefinitions"),
    ("rds", "describe_db_cluster_parameter_groups", "DBClusterParameterGroups"),
    ("rds", "describe_db_clusters", "DBClusters"),
    ("rds", "describe_db_instances", "DBInstances"),
    ("rds", "describe_db_parameter_groups", "DBParameterGroups"),
    ("rds", "describe_db_proxies", "DBProxies"),
    ("rds", "describe_db_proxy_endpoints", "DBProxyEndpoints"),
    ("rds", "describe_db_snapshots", "DBSnapshots"),
    ("rds", "describe_db_subnet_groups", "DBSubnetGroups"),
    ("s3", "list_buckets", "Buckets"),
    ("scheduler", "list_schedule_groups", "ScheduleGroups"),
    ("scheduler", "list_schedules", "Schedules"),
    ("secretsmanager", "list_secrets", "SecretList"),
    ("sns", "list_topics", "Topics"),
    ("ssm", "list_documents", "DocumentIdentifiers"),
)
# What is gone and still listed for a while.
GONE = {"deleted", "terminated", "PendingDeletion"}

Inventory = dict[str, list[Any]]


def inventory(emulator: Emulator) -> Inventory:
    """Return everything in full, so that what was changed differs as what was lost does."""
    clients = {service: emulator.client(service) for service, _, _ in LISTS}
    held: Inventory = {}
    for service, operation, key in LISTS:
        answer = getattr(clients[service], operation)()
        assert not answer.get("NextToken"), f"{operation} has a second page, which nobody reads"
        held[key] = answer[key]
    parameters, schedules = clients["rds"].describe_db_parameters, clients["scheduler"].get_schedule
    reservations = clients["ec2"].describe_instances()["Reservations"]
    instances = [instance for each in reservations for instance in each["Instances"]]
    keys = [
        clients["kms"].describe_key(KeyId=each["KeyId"])["KeyMetadata"] for each in clients["kms"].list_keys()["Keys"]
    ]
    # RDS makes a default group with the first instance of a family, and keeps it.
    groups = held["DBParameterGroups"]
    held["DBParameterGroups"] = [each for each in groups if not each["DBParameterGroupName"].startswith("default.")]
    return held | {
        "DBParameters": [
            parameter
            for each in held["DBParameterGroups"]
            for parameter in parameters(DBParameterGroupName=each["DBParameterGroupName"])["Parameters"]
        ],
        "Instances": [each for each in instances if each["State"]["Name"] not in GONE],
        "Keys": [each for each in keys if each["KeyState"] not in GONE],
        "Schedules": [schedules(GroupName=each["GroupName"], Name=each["Name"]) for each in held["Schedules"]],
        "VpcEndpoints": [each for each in held["VpcEndpoints"] if each["State"] not in GONE],
    }
