"""An account in which `prod` can be deployed for the first time, as `ScriptedAws` answers for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks import ROOT
from stacks.settings import Settings, load_settings
from tests.support.scripted_aws import Refusal

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "17.6"


def zone(name: str) -> dict[str, str]:
    return {"ZoneName": name, "State": "available"}


def option(**changed: Any) -> dict[str, Any]:
    """Return an offer of RDS for the class of `prod`."""
    return {
        "Engine": "postgres",
        "EngineVersion": VERSION,
        "StorageType": "gp3",
        "AvailabilityZones": [{"Name": "eu-central-1a"}, {"Name": "eu-central-1b"}],
        "MultiAZCapable": True,
        "SupportsIAMDatabaseAuthentication": True,
        "SupportsEnhancedMonitoring": True,
        "SupportsPerformanceInsights": True,
        "SupportsStorageEncryption": True,
        "SupportsStorageAutoscaling": True,
        "MaxStorageSize": 65536,
        **changed,
    }


def versions(arguments: dict[str, Any]) -> dict[str, Any]:
    found = [VERSION] if arguments.get("EngineVersion") in {"17", None} else []
    return {"DBEngineVersions": [{"Engine": "postgres", "EngineVersion": version} for version in found]}


def rds_quota(name: str, used: int, most: int) -> dict[str, Any]:
    return {"AccountQuotaName": name, "Used": used, "Max": most}


def in_a_network_that_exists(folder: Path) -> Settings:
    """Return the settings of `prod` in subnets of a network that exists."""
    text = (ROOT / "environments" / "prod.toml").read_text()
    network = text[text.index("vpc_cidr") : text.index("[database]")]
    existing = 'vpc_id = "vpc-0a"\nsubnet_ids = ["subnet-0a", "subnet-0b"]\nroute_table_ids = ["rtb-0a"]\n\n'
    file = folder / "prod.toml"
    file.write_text(text.replace(network, existing))
    return load_settings(file, {})


def subnets(**free: int) -> dict[str, Any]:
    """Return the answer of DescribeSubnets, with the free addresses of each zone's subnet."""
    found = [
        {
            "SubnetId": f"subnet-0{zone}",
            "VpcId": "vpc-0a",
            "AvailabilityZone": f"eu-central-1{zone}",
            "AvailableIpAddressCount": count,
        }
        for zone, count in free.items()
    ]
    return {"Subnets": found}


def instances(*types: str) -> dict[str, Any]:
    """Return the answer of DescribeInstances, each with two virtual CPUs."""
    cores = {"CoreCount": 1, "ThreadsPerCore": 2}
    return {"Reservations": [{"Instances": [{"InstanceType": each, "CpuOptions": cores} for each in types]}]}


def endpoint_services(arguments: dict[str, Any]) -> dict[str, Any]:
    zones = ["eu-central-1a", "eu-central-1b"]
    return {"ServiceDetails": [{"ServiceName": name, "AvailabilityZones": zones} for name in arguments["ServiceNames"]]}


def quota(arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    # One of them has a default only.
    if arguments["QuotaCode"] == "L-D94C7EA3":
        return Refusal("NoSuchResourceException")
    return {"Quota": {"Value": 5.0}}


WELL: dict[str, Any] = {
    "ec2.describe_availability_zones": {
        "AvailabilityZones": [zone("eu-central-1a"), zone("eu-central-1b"), zone("eu-central-1c")]
    },
    "ec2.describe_instance_type_offerings": {
        "InstanceTypeOfferings": [{"InstanceType": "t4g.nano", "Location": "eu-central-1a"}]
    },
    "ec2.describe_instances": instances("t4g.nano"),
    "ec2.describe_vpc_endpoint_services": endpoint_services,
    "ec2.describe_vpcs": {"Vpcs": [{"VpcId": "vpc-1"}]},
    "ec2.describe_vpc_endpoints": {"VpcEndpoints": []},
    "iam.get_role": lambda arguments: (
        {
            "Role": {
                "Path": "/",
                "RoleName": arguments["RoleName"],
                "RoleId": "AROAEXAMPLE12345678",
                "Arn": f"arn:aws:iam::123456789012:role/{arguments['RoleName']}",
                "CreateDate": "2026-01-01",
            }
        }
        if arguments["RoleName"].startswith("AWSServiceRoleFor")
        else Refusal("NoSuchEntity", status=404)
    ),
    "iam.get_instance_profile": Refusal("NoSuchEntity", status=404),
    "kms.list_aliases": {"Aliases": [{"AliasName": "alias/aws/rds"}]},
    "lambda.get_account_settings": {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    },
    "lambda.get_function_concurrency": Refusal("ResourceNotFoundException", status=404),
    "lambda.get_function_configuration": Refusal("ResourceNotFoundException", status=404),
    "logs.describe_log_groups": {"logGroups": []},
    "rds.describe_account_attributes": {
        "AccountQuotas": [rds_quota("DBInstances", 3, 40), rds_quota("AllocatedStorage", 500, 100_000)]
    },
    "rds.describe_db_cluster_parameter_groups": Refusal("DBParameterGroupNotFound", status=404),
    "rds.describe_db_cluster_snapshots": Refusal("DBClusterSnapshotNotFoundFault", status=404),
    "rds.describe_db_clusters": Refusal("DBClusterNotFoundFault", status=404),
    "rds.describe_db_engine_versions": versions,
    "rds.describe_db_instances": Refusal("DBInstanceNotFound", status=404),
    "rds.describe_db_parameter_groups": Refusal("DBParameterGroupNotFound", status=404),
    "rds.describe_db_proxies": lambda arguments: (
        Refusal("DBProxyNotFoundFault", status=404) if arguments.get("DBProxyName") else {"DBProxies": []}
    ),
    "rds.describe_db_snapshots": Refusal("DBSnapshotNotFound", status=404),
    "rds.describe_db_subnet_groups": Refusal("DBSubnetGroupNotFoundFault", status=404),
    "rds.describe_orderable_db_instance_options": {"OrderableDBInstanceOptions": [option()]},
    "s3.get_bucket_location": {"LocationConstraint": "eu-central-1"},
    "s3.get_bucket_versioning": {"Status": "Enabled"},
    # Ours is not there yet; that of the state is.
    "s3.head_bucket": lambda arguments: (
        Refusal("404", status=404) if arguments["Bucket"].startswith("scanner-database-") else {}
    ),
    "s3.get_object": Refusal("NoSuchKey", status=404),
    "scheduler.get_schedule_group": Refusal("ResourceNotFoundException", status=404),
    "service-quotas.get_service_quota": quota,
    "service-quotas.get_aws_default_service_quota": {"Quota": {"Value": 20.0}},
    "ssm.get_parameter": {"Parameter": {"Value": "ami-0123456789abcdef0"}},
    "sts.get_caller_identity": {
        "Account": "123456789012",
        "Arn": "arn:aws:sts::123456789012:assumed-role/deployer/ann",
    },
}
# What differs where a cluster is to be deployed: Aurora's offers have neither a standby nor a size of storage.
OFFERS_OF_AURORA: dict[str, Any] = {
    "rds.describe_orderable_db_instance_options": {
        "OrderableDBInstanceOptions": [
            option(
                Engine="aurora-postgresql",
                StorageType=storage_type,
                MultiAZCapable=False,
                SupportsStorageAutoscaling=False,
                MaxStorageSize=0,
            )
            for storage_type in ("aurora", "aurora-iopt1")
        ]
    }
}
