"""The network: no way in or out but the endpoints, and rules that each allow one pair one port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.synthesis import read_stack, run_main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised

# Who may open connections to whom. 443 is an AWS service, 5432 is PostgreSQL.
CONNECTIONS = {
    ("migrate", "database", 5432),
    ("migrate", "endpoints", 443),
    ("refresh", "proxy", 5432),
    ("doctor", "database", 5432),
    ("doctor", "proxy", 5432),
    ("status", "proxy", 5432),
    ("status", "endpoints", 443),
    ("proxy", "database", 5432),
    ("bastion", "database", 5432),
    ("bastion", "proxy", 5432),
    ("bastion", "endpoints", 443),
}


def group(reference: str) -> str:
    """`${aws_security_group.status_security_group.id}` -> `status`."""
    return reference.split(".")[1].removesuffix("_security_group")


@pytest.mark.parametrize(
    "kind",
    [
        "aws_nat_gateway",
        "aws_internet_gateway",
        "aws_egress_only_internet_gateway",
        "aws_eip",
        "aws_route",
        "aws_security_group_rule",
        "aws_vpc_peering_connection",
    ],
)
def test_nothing_leads_out_of_the_network(stack: Synthesised, kind: str) -> None:
    assert stack.every(kind) == {}


def test_the_subnets_are_private_and_in_different_zones(stack: Synthesised) -> None:
    subnets = stack.every("aws_subnet").values()
    assert len({subnet["availability_zone"] for subnet in subnets}) == len(subnets) == 2
    assert [subnet["map_public_ip_on_launch"] for subnet in subnets] == [False, False]


def test_the_default_security_group_loses_its_rules(stack: Synthesised) -> None:
    assert {"ingress", "egress"} & stack.one("aws_default_security_group").keys() == set()


def test_security_groups_have_no_rules_of_their_own(stack: Synthesised) -> None:
    for body in stack.every("aws_security_group").values():
        assert {"ingress", "egress"} & body.keys() == set()


def test_every_security_group_is_attached_to_something(stack: Synthesised) -> None:
    """checkov's check of this is suppressed, because it does not know that a proxy has security groups."""
    rules = ("aws_vpc_security_group_ingress_rule.", "aws_vpc_security_group_egress_rule.", "aws_security_group.")
    users = [json.dumps(body) for address, body in stack.resources() if not address.startswith(rules)]
    for name in stack.every("aws_security_group"):
        assert any(f"${{aws_security_group.{name}.id}}" in user for user in users), name


def test_only_the_named_pairs_may_connect_and_both_sides_say_so(stack: Synthesised) -> None:
    egress = {
        (group(rule["security_group_id"]), group(rule["referenced_security_group_id"]), rule["from_port"])
        for rule in stack.every("aws_vpc_security_group_egress_rule").values()
        if "referenced_security_group_id" in rule
    }
    ingress = {
        (group(rule["referenced_security_group_id"]), group(rule["security_group_id"]), rule["from_port"])
        for rule in stack.every("aws_vpc_security_group_ingress_rule").values()
    }
    assert egress == ingress == CONNECTIONS


def test_clients_that_are_named_reach_the_proxy_and_nothing_else(tmp_path: Path) -> None:
    clients = ["sg-0123456789abcdef0", "sg-0fedcba9876543210"]
    run_main("dev", outdir=tmp_path, variables={"SCANNER__NETWORK__CLIENT_SECURITY_GROUP_IDS": json.dumps(clients)})
    rules = read_stack(tmp_path, "dev").every("aws_vpc_security_group_ingress_rule")
    admitted = {name: rule for name, rule in rules.items() if rule["referenced_security_group_id"] in clients}
    # Wherever they stand in the list.
    assert {name: rule["referenced_security_group_id"] for name, rule in admitted.items()} == {
        f"proxy_from_{client}": client for client in clients
    }
    for rule in admitted.values():
        assert rule["security_group_id"] == "${aws_security_group.proxy_security_group.id}"
        assert (rule["from_port"], rule["to_port"], rule["ip_protocol"]) == (5432, 5432, "tcp")


def test_no_rule_names_addresses(stack: Synthesised) -> None:
    for direction in ("ingress", "egress"):
        for rule in stack.every(f"aws_vpc_security_group_{direction}_rule").values():
            assert {"cidr_ipv4", "cidr_ipv6"} & rule.keys() == set()
            assert (rule["from_port"], rule["ip_protocol"]) == (rule["to_port"], "tcp")


def test_only_migrate_and_doctor_reach_s3_and_only_through_the_prefix_list(stack: Synthesised) -> None:
    rules = [rule for rule in stack.every("aws_vpc_security_group_egress_rule").values() if "prefix_list_id" in rule]
    assert {group(rule["security_group_id"]) for rule in rules} == {"migrate", "doctor"}
    assert {rule["prefix_list_id"] for rule in rules} == {"${aws_vpc_endpoint.endpoints_s3.prefix_list_id}"}


def test_the_endpoints_are_those_that_something_inside_calls(prod: Synthesised) -> None:
    endpoints = prod.every("aws_vpc_endpoint")
    assert {name: body["vpc_endpoint_type"] for name, body in endpoints.items()} == {
        "endpoints_s3": "Gateway",
        "endpoints_secretsmanager": "Interface",
        "endpoints_states": "Interface",
        "endpoints_ssm": "Interface",
        "endpoints_ssmmessages": "Interface",
    }
    assert {body["service_name"] for body in endpoints.values()} == {
        f"com.amazonaws.eu-central-1.{service}" for service in ("s3", "secretsmanager", "states", "ssm", "ssmmessages")
    }


def test_an_endpoint_lets_through_this_account_only(stack: Synthesised) -> None:
    for name, body in stack.every("aws_vpc_endpoint").items():
        (statement,) = json.loads(body["policy"])["Statement"]
        account = statement["Condition"]["StringEquals"]["aws:PrincipalAccount"]
        assert account == "${data.aws_caller_identity.account.account_id}", name


def test_the_s3_endpoint_reads_the_release_bucket_only(prod: Synthesised) -> None:
    (statement,) = json.loads(prod.one("aws_vpc_endpoint", "endpoints_s3")["policy"])["Statement"]
    assert statement["Action"] == ["s3:GetObject"]
    (resource,) = statement["Resource"]
    assert resource.endswith(":s3:::scanner-database-prod-releases-${data.aws_caller_identity.account.account_id}/*")


def test_traffic_is_recorded(stack: Synthesised) -> None:
    flow_log = stack.one("aws_flow_log")
    assert flow_log["traffic_type"] == "ALL"
    assert flow_log["log_destination"] == "${aws_cloudwatch_log_group.network_flow_log_group.arn}"
