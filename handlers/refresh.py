"""Lambda `refresh`: refreshes, verifies and rebuilds job_progress, and retires jobs, as `progress_refresher`."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.connection import Database
from handlers.contract.events import RefreshAction, RefreshEvent
from handlers.contract.timeouts import REFRESH
from handlers.progress import actions
from handlers.telemetry import logger, metrics

database = Database(query_timeout_s=REFRESH.client_s)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: RefreshEvent, _context: LambdaContext) -> dict[str, Any]:
    """Run `event["action"]`, by default `refresh`. An error fails the invocation, which the alarms count.

    Raises:
        InvalidRequestError: the action is none of `RefreshAction`, or `retire` has no age.

    """
    action = event.get("action", RefreshAction.REFRESH)
    return actions.run_action(database, action, older_than_days=event.get("older_than_days"))
