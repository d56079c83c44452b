"""Lambda `migrate`: brings the database to the release that a deploy uploaded, as the owner of the tables."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.contract.events import MigrateAction, MigrateEvent
from handlers.contract.timeouts import MIGRATE
from handlers.migrator import actions
from handlers.migrator.first_use import FirstUse
from handlers.stored_release import fetch_release
from handlers.telemetry import logger


@logger.inject_lambda_context
def handler(event: MigrateEvent, context: LambdaContext) -> dict[str, Any]:
    """Run a release, or do what `event["action"]` says; an error fails the invocation, and with it the deploy.

    Raises:
        InvalidRequestError: the action is none of `MigrateAction`.

    """
    if event.get("action") == MigrateAction.LEDGER:
        return actions.read_applied()
    first_use = FirstUse(logger.info)
    return actions.run_action(
        event.get("action", MigrateAction.MIGRATE),
        first_use.call(lambda: fetch_release(event)),
        first_use=first_use,
        deadline_s=max(context.get_remaining_time_in_millis() / 1000 - MIGRATE.reserve_s, 0),
    )
