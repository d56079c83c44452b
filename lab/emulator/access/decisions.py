"""Whether AWS would allow a use of an action: by network, endpoint, role, resource and key.

Sources: "Policy evaluation logic" and "Access denied error message examples" in the IAM user guide; "Key policies in
AWS KMS", by which a key's own policy must allow a use, or leave it to the account's policies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from lab.emulator.access.account import Account, Place
from lab.emulator.access.network import reach_service, source_context
from lab.emulator.access.policy import Answer, Request, answer

# What is done with the key of a resource in the caller's name, for each action on it.
KEY_ACTIONS = {
    "s3:GetObject": ("kms:Decrypt",),
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "sns:Publish": ("kms:Decrypt", "kms:GenerateDataKey"),
}


class AccessDeniedError(Exception):
    """A policy refuses, or none allows; the message is AWS's own."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """One action by a role, or by a service in its own name.

    Attributes:
        by: who, for people, such as `migrate`; of a role it is the name of the session.
        action: such as `s3:GetObject`.
        resource: the ARN that it is for.
        role: ARN of the role that asks.
        service: the service principal that asks, where no role does.
        place: where the caller lies in a network; `None` outside of the account's networks.
        context: condition keys that the caller adds.
        account_id: the caller's account, where it is another one.

    """

    by: str
    action: str
    resource: str
    role: str | None = None
    service: str | None = None
    place: Place | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    account_id: str | None = None

    def __str__(self) -> str:
        return f"{self.by}: {self.action} on {self.resource}"


def check_use(account: Account, use: Use) -> None:
    """Check that a use is allowed.

    Raises:
        AccessDeniedError: a policy does not allow it.
        NoRouteError: the network does not let it through.
        UnknownPolicyError, UnknownNetworkError: a policy or rule is not known here.

    """
    if use.place is not None:
        service = use.action.partition(":")[0]
        endpoint = reach_service(account, use.place, service)
        use = replace(use, context={**source_context(account, use.place, endpoint), **use.context})
        if endpoint is not None:
            _check_endpoint(account, use, endpoint.policy)
    request = _request(account, use)
    own = _resource_answer(account, request)
    if own is Answer.DENY:
        raise _denied(account, use, "with an explicit deny in a resource-based policy")
    _check_caller(account, use, request, own)
    for key_use in _key_uses(account, use):
        check_use(account, key_use)


def _check_endpoint(account: Account, use: Use, policy: str) -> None:
    said = answer(policy, _request(account, use))
    if said is Answer.DENY:
        raise _denied(account, use, "with an explicit deny in a VPC endpoint policy")
    if said is not Answer.ALLOW:
        raise _denied(account, use, f"because no VPC endpoint policy allows the {use.action} action")


def _check_caller(account: Account, use: Use, request: Request, own: Answer) -> None:
    """Check the role's policies against what the resource's own policy has answered."""
    by_resource = _denied(account, use, f"because no resource-based policy allows the {use.action} action")
    if use.role is None:
        if own is not Answer.ALLOW:
            raise by_resource
        return
    said = {answer(policy, request) for policy in account.role_policies.get(use.role, {}).values()}
    if Answer.DENY in said:
        raise _denied(account, use, "with an explicit deny in an identity-based policy")
    if own is Answer.ALLOW:
        return
    if use.action.startswith("kms:") and own is not Answer.DELEGATE:
        raise by_resource
    if Answer.ALLOW not in said:
        raise _denied(account, use, f"because no identity-based policy allows the {use.action} action")


def _resource_answer(account: Account, request: Request) -> Answer:
    # The policy of a bucket is about its objects too.
    arn = request.resource
    policy = account.policies.get(arn) or account.policies.get(arn.partition("/")[0])
    return Answer.NOTHING if policy is None else answer(policy, request)


def _key_uses(account: Account, use: Use) -> Iterator[Use]:
    key = account.keys.get(use.resource) or account.keys.get(use.resource.partition("/")[0])
    if key is None:
        return
    service = use.action.partition(":")[0]
    context = {**use.context, "kms:ViaService": f"{service}.{account.region}.amazonaws.com"}
    context.pop("aws:SourceVpc", None)
    if service == "secretsmanager":
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
        context["kms:EncryptionContext:SecretARN"] = use.resource
    if service == "sns":
        context["kms:EncryptionContext:aws:sns:topicArn"] = use.resource
    for action in KEY_ACTIONS.get(use.action, ()):
        yield replace(use, action=action, resource=key, place=None, context=context)


def _request(account: Account, use: Use) -> Request:
    caller = use.account_id or account.id
    principal = {"aws:PrincipalAccount": caller} if use.role else {}
    # Logging in to a database supports no condition key:
    # https://repost.aws/knowledge-center/aurora-postgresql-connect-iam
    context = {"aws:SecureTransport": "true", **principal, **use.context}
    return Request(
        action=use.action,
        resource=use.resource,
        role=use.role,
        service=use.service,
        account=caller,
        context={} if use.action == "rds-db:connect" else context,
    )


def _denied(account: Account, use: Use, reason: str) -> AccessDeniedError:
    role = use.role and f"arn:{account.partition}:sts::{account.id}:assumed-role/{use.role.rpartition('/')[2]}/{use.by}"
    return AccessDeniedError(
        f"User: {role or use.service} is not authorized to perform: {use.action} on resource: {use.resource} {reason}"
    )
