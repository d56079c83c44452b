"""The access control of one emulator: decides by the account as it is now, and records what it decided."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lab.emulator.access.account import Account, Function
from lab.emulator.access.calls import UnknownCallError, use_of
from lab.emulator.access.decisions import AccessDeniedError, Use, check_use
from lab.emulator.access.logins import Connection, LoginRefusedError, check_connection, connections_of
from lab.emulator.access.network import NoRouteError, UnknownNetworkError
from lab.emulator.access.policy import UnknownPolicyError
from lab.emulator.access.services import lambda_uses, service_uses

What = TypeVar("What", Use, Connection)

REFUSALS = (
    *(AccessDeniedError, NoRouteError, LoginRefusedError),
    *(UnknownCallError, UnknownNetworkError, UnknownPolicyError),
)
# Functions with a role under this path are not checked: they are deployed without policies and network.
UNCHECKED_PATH = "/unchecked/"


@dataclass(frozen=True, kw_only=True)
class FunctionAccess:
    """What one function may do.

    Attributes:
        credentials: the variables with the credentials of its role.
        refused_hosts: databases that its variables name and that refuse it: host -> message of the client library.
        decrypt_refused: why Lambda cannot decrypt its variables, or `None`.
        can_log: whether Lambda can write its log.

    """

    credentials: Mapping[str, str]
    refused_hosts: Mapping[str, str]
    decrypt_refused: str | None
    can_log: bool


class AccessControl:
    """Decides and records.

    Args:
        read: returns the account as it is now.
        record: a file that receives one line of JSON for each refusal, and for each use when it is first allowed:
            `by`, `what`, and `refused`, which is the reason or null.

    """

    def __init__(self, read: Callable[[], Account], record: Path) -> None:
        self._read = read
        self._record = record
        self._lock = threading.Lock()
        self._allowed: set[str] = set()
        self._account: Account | None = None
        self._functions: dict[str, FunctionAccess] = {}
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()

    def changed(self) -> None:
        """Forget the account, because a request may have changed it."""
        with self._lock:
            self._account = None
            self._functions = {}

    def account(self) -> Account:
        """Return the account as it was after the last request."""
        with self._lock:
            if self._account is None:
                self._account = self._read()
            return self._account

    def check(self, use: Use) -> None:
        """Check and record a use.

        Raises:
            AccessDeniedError, NoRouteError, UnknownPolicyError, UnknownNetworkError: as `check_use`.

        """
        self._recorded(use, check_use)

    def check_call(self, function: Function, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        """Check and record a request of a function's own code.

        Raises:
            UnknownCallError: as `use_of`.
            AccessDeniedError, NoRouteError, UnknownPolicyError, UnknownNetworkError: as `check_use`.

        """
        try:
            use = use_of(self.account(), function, service, operation, parameters)
        except UnknownCallError as error:
            self._write(function.name, f"{service} {operation}", str(error))
            raise
        self.check(use)

    def check_services(self) -> list[str]:
        """Check and record what AWS services do in the deployment; return the reasons of refusals."""
        return [reason for _, reason in self.refusals(service_uses(self.account()))]

    def refusals(self, uses: Iterable[Use]) -> list[tuple[Use, str]]:
        """Check and record uses; return those that are refused, and why."""
        refused = []
        for use in uses:
            try:
                self.check(use)
            except REFUSALS as error:
                refused.append((use, str(error)))
        return refused

    def function_access(self, name: str) -> FunctionAccess | None:
        """Return what a function may do, checked and recorded after each change; `None` when it is not checked."""
        with self._lock:
            known = self._functions.get(name)
        if known is not None:
            return known
        account = self.account()
        function = next(each for each in account.functions if each.name == name)
        if is_unchecked(function):
            return None
        refused = self.refusals(lambda_uses(account, function))
        access = FunctionAccess(
            credentials={
                "AWS_ACCESS_KEY_ID": access_key_of(function.arn),
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_SESSION_TOKEN": "test",
            },
            refused_hosts=self._refused_hosts(function),
            decrypt_refused=next((reason for use, reason in refused if use.action == "kms:Decrypt"), None),
            can_log=not any(use.action.startswith("logs:") for use, _ in refused),
        )
        with self._lock:
            if self._account is account:
                self._functions[name] = access
        return access

    def function_with(self, access_key: str) -> Function | None:
        """Return the function whose credentials have this access key."""
        return next((each for each in self.account().functions if access_key_of(each.arn) == access_key), None)

    def _refused_hosts(self, function: Function) -> dict[str, str]:
        refused = {}
        for connection in connections_of(function):
            try:
                self._recorded(connection, check_connection)
            except REFUSALS as error:
                refused[connection.host] = str(error)
        return refused

    def _recorded(self, what: What, check: Callable[[Account, What], None]) -> None:
        try:
            check(self.account(), what)
        except REFUSALS as error:
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            self._write(what.by, str(what), f"{error}{cause}")
            raise
        self._write(what.by, str(what), None)

    def _write(self, by: str, what: str, refused: str | None) -> None:
        line = json.dumps({"by": by, "what": what, "refused": refused})
        with self._lock:
            if line in self._allowed:
                return
            if refused is None:
                self._allowed.add(line)
            with self._record.open("a") as file:
                file.write(f"{line}\n")


def is_unchecked(function: Function) -> bool:
    """Return whether a function may do everything."""
    return f":role{UNCHECKED_PATH}" in function.role


def access_key_of(function_arn: str) -> str:
    """Return the access key of the credentials that a function gets; those of a role begin with `ASIA`."""
    return f"ASIA{hashlib.sha256(function_arn.encode()).hexdigest()[:16].upper()}"
