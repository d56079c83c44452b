"""What a check is made of: what it asks, what it may use, and its answers."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from scannerdb.checks.clients import Clients
from scannerdb.outputs import outputs_of
from stacks.settings import Settings

# In the order of urgency.
State = Literal["ok", "not answered", "warning", "refused"]
STATES: tuple[State, ...] = ("ok", "not answered", "warning", "refused")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one check saw.

    Attributes:
        state: `refused` where AWS refuses or will refuse, or where what was deployed does not work; `not answered`
            where the question could not be asked, for instance because a permission is missing.
        seen: the thing and the value seen, with its unit.
        next: the way out; empty when nothing is to be done.
        check: the name of the check; `run` sets it.
        asked: in words; `run` sets it where the check does not.

    """

    state: State
    seen: str
    next: str = ""
    check: str = ""
    asked: str = ""

    def fields(self) -> dict[str, str]:
        """Return the answer as JSON values."""
        fields = asdict(self)
        return {name: fields[name] for name in ("check", "asked", "state", "seen", "next")}


def ok(seen: str, *, asked: str = "") -> Answer:
    """Return that all is well."""
    return Answer(state="ok", seen=seen, asked=asked)


def warning(seen: str, *, next: str = "", asked: str = "") -> Answer:  # noqa: A002 - the field's name
    """Return what does not stop a deployment, and should be known."""
    return Answer(state="warning", seen=seen, next=next, asked=asked)


def refused(seen: str, *, next: str = "", asked: str = "") -> Answer:  # noqa: A002
    """Return what AWS refuses, or what does not work."""
    return Answer(state="refused", seen=seen, next=next, asked=asked)


def not_answered(seen: str, *, next: str = "", asked: str = "") -> Answer:  # noqa: A002
    """Return that the question could not be asked."""
    return Answer(state="not answered", seen=seen, next=next, asked=asked)


def overall(answers: Iterable[Answer]) -> Literal["ok", "warning", "refused"]:
    """Return the worst state; what was not answered counts as a warning."""
    states = {answer.state for answer in answers}
    if "refused" in states:
        return "refused"
    return "ok" if states <= {"ok"} else "warning"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a check may use.

    Attributes:
        settings: of the environment.
        aws: its clients.
        account_id: the account of the credentials.
        caller: the ARN of the credentials.
        stack: the synthesised Terraform JSON; empty for `accept`, which asks what is deployed.
        state: the Terraform state; `None` where there is none.
        now: when the questions begin.

    """

    settings: Settings
    aws: Clients
    account_id: str
    caller: str
    stack: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] | None = None
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the deployment."""
        return outputs_of(self.state, self.settings)

    def planned(self, kind: str) -> list[dict[str, Any]]:
        """Return the resources of a Terraform type in the stack."""
        return list(self.stack.get("resource", {}).get(kind, {}).values())

    def managed(self, kind: str) -> list[dict[str, Any]]:
        """Return the attributes of each resource of a Terraform type in the state: what exists already and is ours."""
        return [
            instance["attributes"]
            for resource in (self.state or {}).get("resources", [])
            if resource["mode"] == "managed" and resource["type"] == kind
            for instance in resource["instances"]
        ]

    def to_create(self, kind: str, attribute: str) -> list[str]:
        """Return the values of an attribute that the stack plans and the state does not hold.

        Args:
            kind: a Terraform type.
            attribute: one that names the resource, and that is known before the deploy but for the account's number.

        """
        account = "${data.aws_caller_identity.account.account_id}"
        names = [str(body[attribute]).replace(account, self.account_id) for body in self.planned(kind)]
        ours = {body.get(attribute) for body in self.managed(kind)}
        return [name for name in names if name not in ours]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question.

    Attributes:
        name: for programs.
        asked: the question in a few words.
        ask: yields answers; it raises botocore's errors as they come.

    """

    name: str
    asked: str
    ask: Callable[[Context], Iterator[Answer]]
