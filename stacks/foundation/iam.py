"""IAM policy documents and roles, without a resource `*` unless it is asked for by name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from constructs import Construct

PolicyStatement = dict[str, Any]

# For actions that support no resource-level permission. Each use says which table of the Service Authorization
# Reference shows it.
EVERY_RESOURCE = "*"


def statement(
    *actions: str,
    resources: Sequence[str],
    sid: str | None = None,
    effect: str = "Allow",
    principals: Mapping[str, str | list[str]] | None = None,
    conditions: Mapping[str, Mapping[str, str | list[str]]] | None = None,
) -> PolicyStatement:
    """Return one statement; `principals` is for policies on resources."""
    return {
        **({"Sid": sid} if sid else {}),
        "Effect": effect,
        **({"Principal": principals} if principals else {}),
        "Action": list(actions),
        "Resource": list(resources),
        **({"Condition": conditions} if conditions else {}),
    }


def document(statements: Sequence[PolicyStatement]) -> str:
    """Return a policy document as JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def service_role(
    scope: Construct,
    id_: str,
    *,
    name: str,
    service: str,
    statements: Mapping[str, PolicyStatement],
    source_account: str | None = None,
) -> tuple[IamRole, IamRolePolicy]:
    """Create a role that only `service` assumes, with exactly these statements (by their Sid).

    Args:
        scope: the construct that owns the role.
        id_: the role's id in `scope`.
        name: the role's name.
        service: the service principal, such as `lambda.amazonaws.com`.
        statements: Sid -> statement.
        source_account: `aws:SourceAccount` that the service must act for, where the service sends it; prevents the
            confused-deputy problem.

    """
    assume = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        **({"Condition": {"StringEquals": {"aws:SourceAccount": source_account}}} if source_account else {}),
    }
    role = IamRole(scope, id_, name=name, assume_role_policy=document([assume]))
    named = [{"Sid": sid, **body} for sid, body in statements.items()]
    return role, IamRolePolicy(scope, f"{id_}_policy", name=name, role=role.name, policy=document(named))
