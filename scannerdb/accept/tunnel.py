"""Whether the bastion takes a session, and whether each role that logs in by IAM gets in through it.

No function logs in as the scanner's role, and none as every role on both ways. The tunnel is the way in that exists,
with the caller's own permission to log in.
"""

import re
import time
from collections.abc import Iterator

import psycopg2
from psycopg2.extensions import make_dsn

from handlers import waiting
from handlers.contract.roles import IAM_ROLES
from handlers.errors import DatabaseUnavailableError
from scannerdb.causes import sentence
from scannerdb.checks.model import Answer, Check, Context, not_answered, ok, refused
from scannerdb.login import Target
from scannerdb.options import connect_to
from scannerdb.outputs import output
from scannerdb.tunnel.port_forwarding import DOCUMENT, LOCALHOST, check_tools, forwarded_port

PERMISSION = "rds-db:connect"
ANSWER_S = 10
WAYS = {"proxy": False, "direct": True}
ONLINE = "Online"
# As the instance and RDS Proxy refuse a token: the permission is missing, or the role may not log in by IAM.
LOGIN_REFUSED = re.compile(r"(PAM|IAM) authentication failed")


def _session(context: Context) -> Iterator[Answer]:
    """Start a session as the tunnel does, and end it: Session Manager refuses a target whose agent is not connected."""
    bastion = output(context.outputs, "bastion_instance_id", context.settings)
    ssm = context.aws("ssm")
    found = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [bastion]}])
    status = [each["PingStatus"] for each in found["InstanceInformationList"]]
    if status != [ONLINE]:
        yield refused(
            f"{bastion} is {status[0] if status else 'not registered'} with Session Manager",
            next="look whether it runs, and at the endpoints ssm and ssmmessages of its subnets",
        )
        return
    host = output(context.outputs, "proxy_endpoint", context.settings)
    port = output(context.outputs, "proxy_port", context.settings)
    parameters = {"host": [host], "portNumber": [port], "localPortNumber": ["0"]}
    session = ssm.start_session(Target=bastion, DocumentName=DOCUMENT, Parameters=parameters)
    ssm.terminate_session(SessionId=session["SessionId"])
    yield ok(f"{bastion} is {ONLINE} and takes a session")


def _logins(context: Context) -> Iterator[Answer]:
    check_tools()
    bastion = output(context.outputs, "bastion_instance_id", context.settings)
    for way, direct in WAYS.items():
        targets = [Target.of(context.settings, user=user, direct=direct, outputs=context.outputs) for user in IAM_ROLES]
        endpoint = targets[0].endpoint
        with forwarded_port(
            region=context.settings.region, bastion=bastion, host=endpoint.host, port=endpoint.port
        ) as port:
            answers = [_login(context, target, way, port) for target in targets]
        good = [answer for answer in answers if answer.state == "ok"]
        yield from (answer for answer in answers if answer.state != "ok")
        if good:
            yield ok(", ".join(answer.seen for answer in good), asked=f"tunnel logins, {way}")
            yield ok(f"{good[0].asked}, verify-full, {endpoint.host}", asked=f"TLS: {way}")


def _login(context: Context, target: Target, way: str, port: int) -> Answer:
    """Log in as one role; of a login that succeeds `asked` is the version of TLS."""
    context.aws.uses(PERMISSION)
    user = target.endpoint.user
    dsn = make_dsn(
        None, **{**target.arguments(), "hostaddr": LOCALHOST, "port": str(port), "password": target.password()}
    )
    started = time.monotonic()
    try:
        with waiting.deadline(ANSWER_S):
            connection = connect_to(dsn)()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                tls = str(connection.info.ssl_attribute("protocol"))
            finally:
                connection.close()
    except (psycopg2.Error, DatabaseUnavailableError) as error:
        return _no_login(context, error, f"{user}, {way}")
    return ok(f"{user} {1000 * (time.monotonic() - started):.0f} ms", asked=tls)


def _no_login(context: Context, error: Exception, who: str) -> Answer:
    asked = f"tunnel login: {who}"
    seen = sentence(error) if isinstance(error, psycopg2.Error) else str(error)
    if LOGIN_REFUSED.search(seen):
        return not_answered(
            seen,
            next=f"grant {PERMISSION} for this user to {context.caller}; if it has it: scannerdb doctor grants",
            asked=asked,
        )
    return refused(seen, next="scannerdb doctor proxy-unavailable", asked=asked)


TUNNEL = (
    Check(name="session", asked="session through the bastion", ask=_session),
    Check(name="tunnel-logins", asked="tunnel logins", ask=_logins),
)
