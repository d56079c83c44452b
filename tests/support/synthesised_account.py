"""The account that a synthesised stack would make, as decisions about access see it, without deploying it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lab.emulator.access.account import (
    Account,
    Endpoint,
    Function,
    Instance,
    Machine,
    Place,
    Proxy,
    Rule,
    Subnet,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.synthesis import Synthesised

ACCOUNT_ID = "123456789012"
REFERENCE = re.compile(r"\$\{((?:data\.)?\w+\.\w+)(?:\.([^}]+))?\}")
API_ID = "a1b2c3d4e5"
MASTER_SECRET = "master_user_secret[0].secret_arn"
# What AWS makes up. Of all other types, an attribute that is no argument is an id.
MADE_UP = {
    ("aws_apigatewayv2_api", "execution_arn"): "arn:aws:execute-api:{region}:{account}:" + API_ID,
    ("aws_cloudwatch_log_group", "arn"): "arn:aws:logs:{region}:{account}:log-group:{name}",
    ("aws_db_instance", "address"): "{identifier}.rds.amazonaws.com",
    ("aws_db_instance", "resource_id"): "db-{identifier}",
    ("aws_db_instance", MASTER_SECRET): "arn:aws:secretsmanager:{region}:{account}:secret:rds!{identifier}",
    ("aws_db_proxy", "endpoint"): "{name}.proxy.rds.amazonaws.com",
    ("aws_iam_role", "arn"): "arn:aws:iam::{account}:role/{name}",
    ("aws_kms_key", "arn"): "arn:aws:kms:{region}:{account}:key/encryption",
    ("aws_lambda_function", "arn"): "arn:aws:lambda:{region}:{account}:function:{function_name}",
    ("aws_s3_bucket", "arn"): "arn:aws:s3:::{bucket}",
    ("aws_sns_topic", "arn"): "arn:aws:sns:{region}:{account}:{name}",
}
KNOWN = {
    "data.aws_caller_identity.account.account_id": ACCOUNT_ID,
    "data.aws_partition.partition.partition": "aws",
    "data.aws_ssm_parameter.bastion_image.insecure_value": "ami-0123",
    "local.proxy_resource_id": "prx-0123",
}


def synthesised_account(stack: Synthesised) -> Account:
    """Return the account after a deploy of the stack."""
    return _Reader(stack).account()


class _Reader:
    def __init__(self, stack: Synthesised) -> None:
        self._stack = stack
        self._region = stack.json["provider"]["aws"][0]["region"]

    def account(self) -> Account:
        alarms = self.named("aws_cloudwatch_metric_alarm") | self.named("aws_cloudwatch_composite_alarm")
        rules = {each["rule"]: (each["arn"],) for each in self.every("aws_cloudwatch_event_target")}
        tables = {each["subnet_id"]: each["route_table_id"] for each in self.every("aws_route_table_association")}
        return Account(
            id=ACCOUNT_ID,
            region=self._region,
            policies=self.policies(),
            role_policies={
                self.role(each["role"]): {each["name"]: each["policy"]} for each in self.every("aws_iam_role_policy")
            },
            keys=self.keys(),
            subnets={
                f"{name}-id": Subnet(
                    vpc_id=each["vpc_id"], route_table_id=tables[f"{name}-id"], has_default_route=False
                )
                for name, each in self.named("aws_subnet").items()
            },
            vpcs_with_dns=frozenset(
                f"{name}-id"
                for name, each in self.named("aws_vpc").items()
                if each["enable_dns_support"] and each["enable_dns_hostnames"]
            ),
            rules=tuple(self.rules()),
            endpoints=tuple(self.endpoints()),
            functions=tuple(self.functions()),
            instances=tuple(self.instances()),
            proxies=tuple(self.proxies()),
            machines=tuple(self.machines()),
            alarms={
                f"arn:aws:cloudwatch:{self._region}:{ACCOUNT_ID}:alarm:{each['alarm_name']}": tuple(
                    dict.fromkeys([*each.get("alarm_actions", ()), *each.get("ok_actions", ())])
                )
                for each in alarms.values()
            },
            event_rules=rules,
            schedules={
                each["name"]: (each["target"]["role_arn"], each["target"]["arn"])
                for each in self.every("aws_scheduler_schedule")
            },
            api_routes={
                f"arn:aws:execute-api:{self._region}:{ACCOUNT_ID}:{API_ID}/$default/"
                + each["route_key"].replace(" ", ""): self.arn("function", "status")
                for each in self.every("aws_apigatewayv2_route")
            },
            log_groups=tuple(self.arn("log-group", each["name"]) for each in self.every("aws_cloudwatch_log_group")),
            flow_logs={each["iam_role_arn"]: each["log_destination"] for each in self.every("aws_flow_log")},
        )

    def policies(self) -> dict[str, str]:
        permissions = [
            {
                "Sid": each["statement_id"],
                "Effect": "Allow",
                "Principal": {"Service": each["principal"]},
                "Action": each["action"],
                "Resource": self.arn("function", "status"),
                "Condition": {"ArnLike": {"AWS:SourceArn": each["source_arn"]}},
            }
            for each in self.every("aws_lambda_permission")
        ]
        return {
            **{self.role(each["name"]): each["assume_role_policy"] for each in self.every("aws_iam_role")},
            **{
                MADE_UP["aws_kms_key", "arn"].format(**self.words()): each["policy"]
                for each in self.every("aws_kms_key")
            },
            **{f"arn:aws:s3:::{self.bucket()}": each["policy"] for each in self.every("aws_s3_bucket_policy")},
            **{each["arn"]: each["policy"] for each in self.every("aws_sns_topic_policy")},
            self.arn("function", "status"): json.dumps({"Statement": permissions}),
        }

    def keys(self) -> dict[str, str]:
        (encryption,) = self.every("aws_s3_bucket_server_side_encryption_configuration")
        bucket_key = encryption["rule"][0]["apply_server_side_encryption_by_default"]["kms_master_key_id"]
        (instance,) = self.every("aws_db_instance")
        secret = MADE_UP["aws_db_instance", MASTER_SECRET].format(**self.words(), **instance)
        return {
            f"arn:aws:s3:::{self.bucket()}": bucket_key,
            secret: instance["master_user_secret_kms_key_id"],
            **{self.arn("topic", each["name"]): each["kms_master_key_id"] for each in self.every("aws_sns_topic")},
            **{
                self.arn("log-group", each["name"]): each["kms_key_id"]
                for each in self.every("aws_cloudwatch_log_group")
            },
            **{function.arn: self.key() for function in self.functions()},
        }

    def rules(self) -> list[Rule]:
        return [
            Rule(
                name=name,
                group_id=each["security_group_id"],
                is_egress=kind == "egress",
                ports=(each["from_port"], each["to_port"]),
                peer=each.get("referenced_security_group_id") or each.get("prefix_list_id") or each["cidr_ipv4"],
            )
            for kind in ("egress", "ingress")
            for name, each in self.named(f"aws_vpc_security_group_{kind}_rule").items()
        ]

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                id=f"{name}-id",
                vpc_id=each["vpc_id"],
                service=each["service_name"].rpartition(".")[2],
                policy=each["policy"],
                route_table_ids=tuple(each.get("route_table_ids", ())),
                prefix_list_id=f"{name}-prefix_list_id" if each["vpc_endpoint_type"] == "Gateway" else None,
                group_ids=tuple(each.get("security_group_ids", ())),
                has_private_dns=each.get("private_dns_enabled", False),
            )
            for name, each in self.named("aws_vpc_endpoint").items()
        ]

    def functions(self) -> list[Function]:
        return [
            Function(
                name=each["function_name"],
                arn=MADE_UP["aws_lambda_function", "arn"].format(**self.words(), **each),
                role=each["role"],
                place=_place(each["vpc_config"]["subnet_ids"], each["vpc_config"]["security_group_ids"]),
                variables=each["environment"]["variables"],
                log_group_arn=self.arn("log-group", each["logging_config"]["log_group"]),
                is_traced=each["tracing_config"]["mode"] == "Active",
            )
            for each in self.every("aws_lambda_function")
        ]

    def instances(self) -> list[Instance]:
        return [
            Instance(
                host=MADE_UP["aws_db_instance", "address"].format(**each),
                port=each["port"],
                resource_id=MADE_UP["aws_db_instance", "resource_id"].format(**each),
                group_ids=tuple(each["vpc_security_group_ids"]),
                monitoring_role=each["monitoring_role_arn"],
            )
            for each in self.every("aws_db_instance")
        ]

    def proxies(self) -> list[Proxy]:
        return [
            Proxy(
                name=each["name"],
                host=MADE_UP["aws_db_proxy", "endpoint"].format(**each),
                resource_id=KNOWN["local.proxy_resource_id"],
                group_ids=tuple(each["vpc_security_group_ids"]),
                role=each["role_arn"],
                secret_arns=tuple(auth["secret_arn"] for auth in each.get("auth", ())),
                target_host=self.instances()[0].host,
            )
            for each in self.every("aws_db_proxy")
        ]

    def machines(self) -> list[Machine]:
        roles = {each["name"]: self.role(each["role"]) for each in self.every("aws_iam_instance_profile")}
        return [
            Machine(
                name="bastion",
                role=roles[each["iam_instance_profile"]],
                place=_place([each["subnet_id"]], each["vpc_security_group_ids"]),
            )
            for each in self.every("aws_instance")
        ]

    def every(self, kind: str) -> list[dict[str, Any]]:
        return list(self.named(kind).values())

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: self.resolved(body) for name, body in self._stack.every(kind).items()}

    def resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.resolved(item) for key, item in value.items() if key != "//"}
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        if isinstance(value, str):
            return REFERENCE.sub(lambda match: self.attribute(match[1], match[2]), value)
        return value

    def attribute(self, address: str, attribute: str | None) -> str:
        full = f"{address}.{attribute}" if attribute else address
        if full in KNOWN:
            return KNOWN[full]
        kind, _, name = address.partition(".")
        body = self._stack.every(kind)[name]
        made_up = MADE_UP.get((kind, str(attribute)))
        if made_up is not None:
            return made_up.format(**self.words(), **{key: self.resolved(item) for key, item in body.items()})
        if attribute in body:
            return str(self.resolved(body[attribute]))
        return f"{name}-{attribute}"

    def words(self) -> Mapping[str, str]:
        return {"region": self._region, "account": ACCOUNT_ID}

    def arn(self, kind: str, name: str) -> str:
        types = {"function": "aws_lambda_function", "topic": "aws_sns_topic", "log-group": "aws_cloudwatch_log_group"}
        prefix = self._stack.one("aws_db_instance")["identifier"]
        words = {**self.words(), "name": name, "function_name": f"{prefix}-{name}"}
        return MADE_UP[types[kind], "arn"].format(**words)

    def role(self, name: str) -> str:
        return MADE_UP["aws_iam_role", "arn"].format(**self.words(), name=name)

    def bucket(self) -> str:
        return str(self.every("aws_s3_bucket")[0]["bucket"])

    def key(self) -> str:
        return MADE_UP["aws_kms_key", "arn"].format(**self.words())


def _place(subnet_ids: list[str], group_ids: list[str]) -> Place:
    return Place(subnet_ids=tuple(subnet_ids), group_ids=tuple(group_ids))
