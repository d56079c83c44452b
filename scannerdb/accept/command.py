"""`scannerdb accept -e ENV`: the questions to AWS after a deploy."""

import click

from scannerdb.accept.alarms import ALARMS
from scannerdb.accept.api import API
from scannerdb.accept.functions import FUNCTIONS
from scannerdb.accept.log_filters import LOG_FILTERS
from scannerdb.accept.messages import MESSAGES
from scannerdb.accept.plan import PLAN
from scannerdb.accept.schedule import SCHEDULE
from scannerdb.accept.tunnel import TUNNEL
from scannerdb.checks.clients import Clients
from scannerdb.checks.command import answer_all, identity
from scannerdb.checks.model import Context
from scannerdb.options import deployment_option, environment_file, json_option
from scannerdb.outputs import outputs_of, read_state
from stacks.settings import load_settings

# The schedule comes before what invokes `refresh` itself, the plan last: it takes longest.
CHECKS = (*SCHEDULE, *FUNCTIONS, *API, *TUNNEL, *LOG_FILTERS, *ALARMS, *MESSAGES, *PLAN)


@click.command()
@deployment_option
@json_option
def accept(environment: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Ask AWS whether the deployment works.

    The schedule's last run, the login of every role through the proxy and past it, TLS, each route of the API, a
    session through the bastion, the log filters on real lines, the alarms and their metric math, the topics, and a
    second plan, which must be empty. It invokes refresh once, as the schedule does, and changes nothing else.

    \b
    scannerdb accept -e prod
    scannerdb accept -e prod --json | jq '.findings[] | select(.state != "ok")'

    \b
    Exit code 0: all is well.  1: a warning, a question that was not answered, or an error.  2: it does not work.
    """  # noqa: D301 - click takes the character for "do not wrap"
    settings = load_settings(environment_file(environment))
    aws = Clients(settings)
    who = identity(settings, aws)
    state = read_state(settings, aws("s3") if settings.state.bucket else None)
    outputs_of(state, settings)  # refuses what is not deployed
    context = Context(settings=settings, aws=aws, state=state, account_id=who["account_id"], caller=who["caller"])
    answer_all(CHECKS, context, as_json=as_json)
