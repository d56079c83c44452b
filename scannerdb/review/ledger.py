"""What is applied to the database of an environment, as its function `migrate` reads it from the ledger."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handlers.contract.events import MigrateAction
from handlers.contract.names import function_name
from handlers.migrator.plan import LedgerEntry
from scannerdb.aws import calling, client
from scannerdb.errors import OperatorError
from stacks.settings import Settings


class UnknownLedgerError(RuntimeError):
    """The ledger was not read; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The rows of the ledger, and the bytes of each table and index by the name that a migration gives it."""

    entries: tuple[LedgerEntry, ...] = ()
    table_bytes: Mapping[str, int]


ReadLedger = Callable[[], Ledger]


def ask_migrate(settings: Settings) -> Ledger:
    """Invoke the deployed `migrate` for the ledger; it changes nothing.

    Raises:
        UnknownLedgerError: it is not deployed, may not be invoked, or failed.

    """
    name = function_name(settings.prefix, "migrate")
    payload = json.dumps({"action": MigrateAction.LEDGER}).encode()
    try:
        lambda_ = client(settings, "lambda")
        with calling(settings, f"the function {name}"):
            answer = lambda_.invoke(FunctionName=name, Payload=payload)
            told = json.loads(answer["Payload"].read())
    except OperatorError as error:
        raise UnknownLedgerError(str(error)) from error
    if "FunctionError" in answer:
        raise UnknownLedgerError(f"{name} raised {_error(told)}")
    if "unknown" in told:
        raise UnknownLedgerError(told["unknown"])
    return Ledger(entries=tuple(map(_entry, told["applied"])), table_bytes=told["table_bytes"])


def _error(told: Any) -> str:
    kind, message = told.get("errorType", "an error"), str(told.get("errorMessage", ""))
    # A function of an older release does not know the action, and looks for a release in the event.
    if kind in {"KeyError", "InvalidRequestError"}:
        return f"{kind}, because it is older than this command: its next deploy brings the action"
    return f"{kind}: {message}"


def _entry(row: Mapping[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        version=row["version"],
        name=row["name"],
        checksum=row["checksum"],
        applied_statements=tuple(row["applied_statements"]),
        applied_at=row["applied_at"] and datetime.fromisoformat(row["applied_at"]),
    )
