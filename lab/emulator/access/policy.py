"""IAM policy documents. An element, operator or condition key that is not known here is an error, never a guess.

Source: "IAM JSON policy elements reference" in the IAM user guide.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
PRINCIPALS = {"AWS", "Service"}
# In lower case: names of condition keys ignore it.
CONDITION_KEYS = {
    "aws:ec2instancesourcevpc",
    "aws:principalaccount",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceowner",
    "aws:sourcevpc",
    "kms:encryptioncontext:aws:logs:arn",
    "kms:encryptioncontext:aws:sns:topicarn",
    "kms:encryptioncontext:secretarn",
    "kms:viaservice",
    "lambda:sourcefunctionarn",
}
ARN_PARTS = 6


class UnknownPolicyError(NotImplementedError):
    """A policy contains what this evaluation does not know; extend it before the policy is used."""


class Answer(Enum):
    """What a policy says to a request: nothing, yes, no, or "as the policies of the account's roles decide"."""

    NOTHING = "nothing"
    ALLOW = "allow"
    DELEGATE = "delegate"
    DENY = "deny"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as a policy sees it.

    Attributes:
        action: such as `s3:GetObject`.
        resource: the ARN that it is for.
        role: ARN of the role that asks, or `None`.
        service: the service principal that asks in its own name, or `None`.
        account: the number of the caller's account.
        context: condition keys that the request carries; a key that it does not carry matches no condition.

    """

    action: str
    resource: str
    role: str | None = None
    service: str | None = None
    account: str
    context: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy; without principals (`None`) it is about the identity that the policy belongs to."""

    is_deny: bool
    principals: Mapping[str, tuple[str, ...]] | None
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def answer(self, request: Request) -> Answer:
        """Return what the statement says to a request."""
        if not (
            any(_like(pattern.lower(), request.action.lower()) for pattern in self.actions)
            and any(_is_resource(pattern, request.resource) for pattern in self.resources)
            and self._conditions_hold(request.context)
        ):
            return Answer.NOTHING
        answer = Answer.ALLOW if self.principals is None else self._principal(request)
        return Answer.DENY if self.is_deny and answer is not Answer.NOTHING else answer

    def _principal(self, request: Request) -> Answer:
        assert self.principals is not None
        if request.service is not None:
            return Answer.ALLOW if request.service in self.principals.get("Service", ()) else Answer.NOTHING
        named = self.principals.get("AWS", ())
        if "*" in named or request.role in named:
            return Answer.ALLOW
        # The account's root stands for the account, which then decides by its own policies.
        root = f":iam::{request.account}:root"
        is_ours = any(each == request.account or each.endswith(root) for each in named)
        return Answer.DELEGATE if is_ours else Answer.NOTHING

    def _conditions_hold(self, context: Mapping[str, str]) -> bool:
        carried = {key.lower(): value for key, value in context.items()}
        return all(
            key in carried and any(OPERATORS[operator](value, carried[key]) for value in values)
            for operator, key, values in self.conditions
        )


def answer(document: str, request: Request) -> Answer:
    """Return what a policy document says to a request.

    Raises:
        UnknownPolicyError: the document contains what is not known here.

    """
    answers = {statement.answer(request) for statement in statements(document)}
    ordered = (Answer.DENY, Answer.ALLOW, Answer.DELEGATE)
    return next((each for each in ordered if each in answers), Answer.NOTHING)


@cache
def statements(document: str) -> tuple[Statement, ...]:
    """Return the statements of a policy document.

    Raises:
        UnknownPolicyError: as `answer`.

    """
    return tuple(_statement(each) for each in _list(json.loads(document)["Statement"]))


def _statement(body: Mapping[str, Any]) -> Statement:
    _refuse_unknown("element", body, ELEMENTS)
    conditions = [
        (operator, key.lower(), tuple(str(value) for value in _list(values)))
        for operator, tests in body.get("Condition", {}).items()
        for key, values in tests.items()
    ]
    _refuse_unknown("operator", (operator for operator, _, _ in conditions), OPERATORS)
    _refuse_unknown("condition key", (key for _, key, _ in conditions), CONDITION_KEYS)
    statement = Statement(
        is_deny={"Allow": False, "Deny": True}[body["Effect"]],
        principals=_principals(body["Principal"]) if "Principal" in body else None,
        actions=tuple(_list(body["Action"])),
        # A trust policy names none: it is about its own role.
        resources=tuple(_list(body.get("Resource", "*"))),
        conditions=tuple(conditions),
    )
    values = (*statement.resources, *(value for _, _, values in conditions for value in values))
    _refuse_unknown("policy variable", (value for value in values if "${" in value), ())
    return statement


def _principals(principal: str | Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if isinstance(principal, str):
        return {"AWS": (principal,)}
    _refuse_unknown("kind of principal", principal, PRINCIPALS)
    return {kind: tuple(_list(names)) for kind, names in principal.items()}


def _refuse_unknown(kind: str, values: Iterable[str], known: Iterable[str]) -> None:
    if unknown := set(values) - set(known):
        raise UnknownPolicyError(f"the {kind} {', '.join(sorted(unknown))} is not known; teach it to {__name__}")


def _is_resource(pattern: str, arn: str) -> bool:
    return pattern == "*" or _is_arn(pattern, arn)


def _is_arn(pattern: str, arn: str) -> bool:
    """Return whether an ARN matches, part by part: a wildcard does not reach over the colon of the first five."""
    wanted, found = pattern.split(":", ARN_PARTS - 1), arn.split(":", ARN_PARTS - 1)
    return len(wanted) == len(found) == ARN_PARTS and all(map(_like, wanted, found))


def _like(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wildcards = {"*": ".*", "?": "."}
    return re.compile("".join(wildcards.get(character) or re.escape(character) for character in pattern), re.DOTALL)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "ArnEquals": _is_arn,
    "ArnLike": _is_arn,
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
    "StringEquals": lambda wanted, found: wanted == found,
    "StringLike": _like,
}
