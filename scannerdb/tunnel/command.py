"""`scannerdb tunnel`: the way in from a laptop, for a shell, for psql, for every other command."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

import click
from psycopg2.extensions import make_dsn

from handlers.contract.roles import DOCTOR, OWNER, READER, REFRESHER
from scannerdb.errors import OperatorError
from scannerdb.login import DIRECT_USERS, Target
from scannerdb.options import DSN_VARIABLE, ENVIRONMENT_VARIABLE, complete_environment, environment_file, json_option
from scannerdb.outputs import output, stack_outputs
from scannerdb.tunnel.passfile import passfile, write_password
from scannerdb.tunnel.port_forwarding import LOCALHOST, check_tools, forwarded_port
from stacks.settings import load_settings

# An IAM token is good for 15 minutes.
RENEW_TOKEN_S = 600
# How libpq calls each argument as an environment variable, for psql and pg_dump.
LIBPQ_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "passfile": "PGPASSFILE",
}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("environment", metavar="ENV", shell_complete=complete_environment)
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--direct", is_flag=True, help="To the instance, past RDS Proxy. Migrations and the doctor need it.")
@click.option(
    "--user",
    type=click.Choice([READER, REFRESHER, DOCTOR, OWNER]),
    help=f"Who logs in: through the proxy {READER} by an IAM token, with --direct {OWNER} by the master secret.",
)
@click.option("--port", "local_port", type=click.IntRange(1, 65535), help="Port of this machine. [default: a free one]")
@json_option
def tunnel(
    environment: str,
    command: tuple[str, ...],
    user: str | None,
    local_port: int | None,
    *,
    direct: bool,
    as_json: bool,
) -> None:
    """Open a way to the database of ENV through its bastion, and run COMMAND inside of it.

    Without a COMMAND it prints a connection string and stays open until Ctrl-C. The name of the server stays what it
    is, so TLS is verified as everywhere; the password is in a file that only you may read and that ends with the
    tunnel. COMMAND finds SCANNERDB_DSN, SCANNERDB_ENVIRONMENT, and PGHOST, PGUSER and so on for psql; its exit code is
    the tunnel's.

    \b
    scannerdb tunnel prod                                print a DSN and stay open
    scannerdb tunnel prod --json                         the same as JSON, for programs
    scannerdb tunnel prod -- scannerdb status --watch    the scans of prod, live
    scannerdb tunnel prod --direct -- psql               a shell as the owner
    scannerdb tunnel prod --direct -- scannerdb doctor
    scannerdb tunnel prod --user progress_refresher -- scannerdb refresh
    """  # noqa: D301
    if command and as_json:
        raise click.UsageError("--json prints how to connect; a COMMAND knows that, and prints what it prints")
    chosen = user or (OWNER if direct else READER)
    if chosen == OWNER and not direct:
        raise click.UsageError(f"{OWNER} logs in by password, which the proxy does not take; add --direct")
    check_tools()
    settings = load_settings(environment_file(environment))
    target = Target.of(settings, user=chosen, direct=direct or chosen in DIRECT_USERS)
    endpoint, bastion = target.endpoint, output(stack_outputs(settings), "bastion_instance_id", settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ending_in_order())
        file = stack.enter_context(passfile())
        port = stack.enter_context(
            forwarded_port(
                region=settings.region, bastion=bastion, host=endpoint.host, port=endpoint.port, local_port=local_port
            )
        )

        def renew() -> None:
            password = target.password()
            write_password(file, host=endpoint.host, port=port, user=chosen, password=password)

        renew()
        arguments = {**target.arguments(), "hostaddr": LOCALHOST, "port": str(port), "passfile": str(file)}
        if command:
            sys.exit(_run(command, environment, arguments, renew))
        address = json.dumps(arguments) if as_json else make_dsn(None, **arguments)
        _stay_open(environment, port, address, renew)


def _stay_open(environment: str, port: int, address: str, renew: Callable[[], None]) -> None:
    click.echo(f"{environment} is at {LOCALHOST}:{port} until Ctrl-C.", err=True)
    click.echo(address)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(RENEW_TOKEN_S)
            _try(renew)
    click.echo("Closed.", err=True)


def _run(command: tuple[str, ...], environment: str, arguments: Mapping[str, str], renew: Callable[[], None]) -> int:
    """Run a command inside and return its exit code, as a shell would."""
    if shutil.which(command[0]) is None:
        raise OperatorError(f"{command[0]} is not on PATH")
    variables = {variable: arguments[name] for name, variable in LIBPQ_VARIABLES.items()}
    told = {DSN_VARIABLE: make_dsn(None, **arguments), ENVIRONMENT_VARIABLE: environment}
    # Ctrl-C is for the command: psql ends a query with it. A handler, because what is ignored stays so in a child.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(command, env=os.environ | variables | told)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(RENEW_TOKEN_S)
                    return code if code >= 0 else 128 - code
                _try(renew)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _try(renew: Callable[[], None]) -> None:
    """Renew the proof; connections that are open need none, so a failure is told and ends nothing."""
    try:
        renew()
    except OperatorError as error:
        click.echo(f"scannerdb: new connections will be refused soon: {error.message}", err=True)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the session and the password as the end of the command does."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
