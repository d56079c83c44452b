"""Lambda `status`: answers the HTTP API from one long-lived connection as `progress_reader`."""

from typing import TYPE_CHECKING, Any

from handlers.connection import Database
from handlers.contract.timeouts import STATUS
from handlers.http import error_response, response
from handlers.lazy_logger import set_request
from handlers.progress import routes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

database = Database(query_timeout_s=STATUS.client_s)


def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one request of the HTTP API (payload format 2.0)."""
    set_request(event, context)
    try:
        return response(200, routes.answer(database, event))
    except Exception as error:  # noqa: BLE001 - error_response raises unknown errors again
        return error_response(error)
