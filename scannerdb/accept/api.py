"""Whether the status API answers each route to a signed request, refuses an unsigned one, and shows a certificate."""

import datetime as dt
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from scannerdb import signed_requests
from scannerdb.aws import session
from scannerdb.checks.model import Answer, Check, Context, not_answered, ok, refused, warning
from scannerdb.outputs import output

TIMEOUT_S = 15
HTTPS_PORT = 443
RENEWED_BEFORE_DAYS = 14
FORBIDDEN = 403
PERMISSION = "execute-api:Invoke"
ELSEWHERE = "ask again from a place that reaches it"
NO_JOB = "00000000-0000-0000-0000-000000000000"
# A request for each route, and the status codes that show that it reached the database.
REQUESTS = {
    "GET /jobs/{job_id}": (f"/jobs/{NO_JOB}", 404),
    "GET /jobs": ("/jobs?state=active&limit=1", 200),
    "GET /statistics": ("/statistics", 200),
}


def _routes(context: Context) -> Iterator[Answer]:
    credentials = session(context.settings).get_credentials()
    for route, (path, expected) in REQUESTS.items():
        yield _request(context, route, path, expected, credentials)
    path = REQUESTS["GET /statistics"][0]
    yield _request(context, "unsigned", path, FORBIDDEN, None)


def _request(context: Context, route: str, path: str, expected: int, credentials: object) -> Answer:
    asked = f"API: {route}"
    url = f"{output(context.outputs, 'api_url', context.settings)}{path}"
    if credentials is not None:
        context.aws.uses(PERMISSION)
    started = time.monotonic()
    try:
        answer = signed_requests.get(url, region=context.settings.region, credentials=credentials, timeout_s=TIMEOUT_S)
    except OSError as error:
        return not_answered(f"{urlsplit(url).netloc}: {error}", next=ELSEWHERE, asked=asked)
    seen = f"{answer.status_code} in {1000 * (time.monotonic() - started):.0f} ms"
    if answer.status_code == expected:
        return ok(seen, asked=asked)
    if answer.status_code == FORBIDDEN:
        return not_answered(
            f"{PERMISSION} is denied: {answer.body}", next=f"grant {PERMISSION} to {context.caller}", asked=asked
        )
    logs = f"scannerdb logs status -e {context.settings.environment} --since 15m"
    return refused(f"{seen}, {expected} expected: {answer.body}", next=logs, asked=asked)


def _certificate(context: Context) -> Iterator[Answer]:
    """Verify the certificate as this machine's clients do."""
    url = urlsplit(output(context.outputs, "api_url", context.settings))
    if url.scheme != "https":
        yield not_answered(f"{url.geturl()} is an emulator's address, without TLS")
        return
    host, port = str(url.hostname), url.port or HTTPS_PORT
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT_S) as raw,
            ssl.create_default_context().wrap_socket(raw, server_hostname=host) as connection,
        ):
            certificate, version = connection.getpeercert() or {}, connection.version()
    except ssl.SSLCertVerificationError as error:
        yield refused(f"{host}: {error.verify_message}", next="look for a proxy between here and AWS that opens TLS")
        return
    except OSError as error:
        yield not_answered(f"{host}:{port}: {error}", next=ELSEWHERE)
        return
    ends = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), dt.UTC)
    seen = f"{host}, {version}, valid until {ends:%Y-%m-%d}"
    if ends - dt.datetime.now(dt.UTC) > dt.timedelta(days=RENEWED_BEFORE_DAYS):
        yield ok(seen)
    else:
        yield warning(seen, next="ask AWS support: AWS renews this certificate itself")


API = (
    Check(name="api", asked="API", ask=_routes),
    Check(name="api-certificate", asked="TLS: certificate of the API", ask=_certificate),
)
