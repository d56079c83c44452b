"""boto3 clients that are bounded in time, and that know which permission each call needs."""

from collections.abc import Callable
from typing import Any

from scannerdb.aws import client
from stacks.settings import Settings

READ_TIMEOUT_S = 15
# Reading is safe to repeat; AWS throttles some of the calls to a few a second.
ATTEMPTS = 3

# IAM names most permissions as the API names its operations. These differ:
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
_PREFIXES = {"monitoring": "cloudwatch"}
_ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction", "s3:HeadBucket": "s3:ListBucket"}

MakeClient = Callable[..., Any]


def action_of(signing_name: str, operation: str) -> str:
    """Return the IAM permission of an API operation, such as `s3:ListBucket` of `HeadBucket`."""
    action = f"{_PREFIXES.get(signing_name, signing_name)}:{operation}"
    return _ACTIONS.get(action, action)


class Clients:
    """The clients of one environment, one a service.

    Args:
        settings: of the environment.
        make: makes a client as `scannerdb.aws.client` does.

    Attributes:
        actions: the permissions of all calls so far, in their order.

    """

    def __init__(self, settings: Settings, make: MakeClient = client) -> None:
        self.actions: list[str] = []
        self._settings = settings
        self._make = make
        self._clients: dict[tuple[str, float], Any] = {}

    def __call__(self, service: str, *, read_timeout_s: float = READ_TIMEOUT_S) -> Any:
        """Return the client of a service.

        Args:
            service: as boto3 names it.
            read_timeout_s: how long to wait for an answer; with another value than the default, a call is sent once.

        Raises:
            OperatorError: the profile of AWS_PROFILE does not exist or cannot be read.

        """
        key = (service, read_timeout_s)
        if key not in self._clients:
            attempts = ATTEMPTS if read_timeout_s == READ_TIMEOUT_S else 1
            made = self._make(self._settings, service, read_timeout_s=read_timeout_s, attempts=attempts)
            made.meta.events.register_first("before-call", self._note)
            self._clients[key] = made
        return self._clients[key]

    def uses(self, action: str) -> None:
        """Note the permission of a request that boto3 does not send."""
        self.actions.append(action)

    def _note(self, model: Any, **_: Any) -> None:
        self.uses(action_of(model.service_model.signing_name, model.name))
