"""Lambda `migrate`: brings the database to the release that a deploy uploaded, as the owner of the tables."""

import json
import os
from collections.abc import Callable
from typing import Any

import psycopg2
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.contract.databases import RdsDatabase
from handlers.contract.events import MigrateAction, MigrateEvent
from handlers.contract.thresholds import Thresholds
from handlers.contract.timeouts import MIGRATE
from handlers.contract.variables import DATABASE, DEPLOYMENT, DOCTOR_LIMITS
from handlers.diagnosis import Commands
from handlers.errors import ScannerDatabaseError
from handlers.migrator import actions
from handlers.migrator.first_use import FirstUse
from handlers.remedies import actions as remedies
from handlers.stored_release import fetch_release
from handlers.telemetry import logger


@logger.inject_lambda_context
def handler(event: MigrateEvent, context: LambdaContext) -> dict[str, Any]:
    """Run a release, or do what `event["action"]` says; an error fails the invocation, and with it the deploy.

    Raises:
        InvalidRequestError: the action is none of `MigrateAction`.

    """
    # What is left when the client gives up, to report that.
    left_s = max(context.get_remaining_time_in_millis() / 1000 - MIGRATE.reserve_s, 0)
    match event.get("action"):
        case MigrateAction.LEDGER:
            return actions.read_applied()
        case MigrateAction.END:
            return _told(lambda: remedies.end(event, actions.connect_as_owner("migrate end")))
        case MigrateAction.REPAIR:
            return _told(lambda: _repair(event, left_s))
    first_use = FirstUse(logger.info)
    return actions.run_action(
        event.get("action", MigrateAction.MIGRATE),
        first_use.call(lambda: fetch_release(event)),
        first_use=first_use,
        deadline_s=left_s,
    )


def _repair(event: MigrateEvent, left_s: float) -> dict[str, Any]:
    return remedies.repair(
        event,
        actions.connect_as_owner("migrate repair"),
        thresholds=Thresholds(**json.loads(os.environ[DOCTOR_LIMITS])),
        commands=Commands(prefix=os.environ[DEPLOYMENT], database=RdsDatabase.parse(os.environ[DATABASE])),
        read_release=lambda: fetch_release(event),
        limit_s=left_s,
    )


def _told(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the answer to an on-call, or why there is none: an error would ring the alarm about a failed migration."""
    try:
        answer = work()
    except (ScannerDatabaseError, psycopg2.Error) as error:
        answer = {"failed": str(error).strip()}
    logger.info("asked by an on-call", extra={"answer": answer})
    return answer
