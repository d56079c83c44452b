"""What a policy document says to a request, and that nothing in it is guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.emulator.access.policy import Answer, Request, UnknownPolicyError, answer

ROLE = "arn:aws:iam::123456789012:role/reader"
BUCKET = "arn:aws:s3:::releases"


def says(*statements: dict[str, Any], **request: Any) -> Answer:
    given = {"action": "s3:GetObject", "resource": f"{BUCKET}/a.zip", "role": ROLE, "account": "123456789012"}
    return answer(json.dumps({"Statement": statements}), Request(**{**given, "context": {}, **request}))


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*", **elements}


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("s3:GetObject", Answer.ALLOW),
        ("S3:getobject", Answer.ALLOW),
        (["s3:PutObject", "s3:Get*"], Answer.ALLOW),
        ("s3:GetObject?", Answer.NOTHING),
        ("s3:GetObjectAcl", Answer.NOTHING),
        ("*", Answer.ALLOW),
    ],
    ids=str,
)
def test_an_action_ignores_case_and_knows_wildcards(action: Any, said: Answer) -> None:
    assert says(allow(Action=action)) is said


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (f"{BUCKET}/*", Answer.ALLOW),
        (f"{BUCKET}/?.zip", Answer.ALLOW),
        (BUCKET, Answer.NOTHING),
        (f"{BUCKET}/A.zip", Answer.NOTHING),
        ("*", Answer.ALLOW),
        ("arn:aws:s3*:releases/a.zip", Answer.NOTHING),
    ],
    ids=str,
)
def test_a_resource_minds_case_and_a_wildcard_stays_in_its_part_of_the_arn(resource: str, said: Answer) -> None:
    assert says(allow(Resource=resource)) is said


def test_an_explicit_deny_wins_over_any_allow() -> None:
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    assert says(allow(), deny) is Answer.DENY
    assert says(deny, allow()) is Answer.DENY


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"StringEquals": {"aws:SourceVpc": "vpc-1"}}, Answer.ALLOW),
        ({"StringEquals": {"AWS:sourcevpc": ["vpc-0", "vpc-1"]}}, Answer.ALLOW),
        ({"StringEquals": {"aws:SourceVpc": "vpc-*"}}, Answer.NOTHING),
        ({"StringLike": {"aws:SourceVpc": "vpc-*"}}, Answer.ALLOW),
        ({"StringEquals": {"aws:SourceVpc": "vpc-1", "aws:SourceAccount": "1"}}, Answer.NOTHING),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, Answer.NOTHING),
        ({"Bool": {"aws:SecureTransport": True}}, Answer.ALLOW),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:*:*:alarm:ours-*"}}, Answer.ALLOW),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:*:alarm:ours-*"}}, Answer.NOTHING),
    ],
    ids=str,
)
def test_every_condition_must_hold_and_a_key_that_the_request_lacks_does_not(condition: Any, said: Answer) -> None:
    context = {
        "aws:SourceVpc": "vpc-1",
        "aws:SecureTransport": "true",
        "aws:SourceArn": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:ours-1",
    }
    assert says(allow(Condition=condition), context=context) is said


@pytest.mark.parametrize(
    ("principal", "caller", "said"),
    [
        ("*", {}, Answer.ALLOW),
        ({"AWS": "*"}, {}, Answer.ALLOW),
        ({"AWS": ROLE}, {}, Answer.ALLOW),
        ({"AWS": "arn:aws:iam::123456789012:root"}, {}, Answer.DELEGATE),
        ({"AWS": ["123456789012"]}, {}, Answer.DELEGATE),
        ({"AWS": "arn:aws:iam::999999999999:root"}, {}, Answer.NOTHING),
        ({"Service": "sns.amazonaws.com"}, {}, Answer.NOTHING),
        ({"Service": "sns.amazonaws.com"}, {"role": None, "service": "sns.amazonaws.com"}, Answer.ALLOW),
        ({"AWS": "*"}, {"role": None, "service": "sns.amazonaws.com"}, Answer.NOTHING),
    ],
    ids=str,
)
def test_the_account_s_root_leaves_the_decision_to_its_roles(principal: Any, caller: Any, said: Answer) -> None:
    assert says(allow(Principal=principal), **caller) is said


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        ({"NotAction": "s3:PutObject"}, "the element NotAction"),
        ({"Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}}, "the operator StringNotEquals"),
        ({"Condition": {"StringEquals": {"aws:UserAgent": "x"}}}, "the condition key aws:useragent"),
        ({"Principal": {"Federated": "saml"}}, "the kind of principal Federated"),
        ({"Resource": "arn:aws:s3:::${aws:PrincipalAccount}"}, "the policy variable"),
    ],
    ids=str,
)
def test_what_the_evaluation_does_not_know_is_an_error(elements: dict[str, Any], named: str) -> None:
    with pytest.raises(UnknownPolicyError, match=named):
        says(allow(Action="ec2:*", **elements))
