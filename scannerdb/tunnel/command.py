"""`scannerdb tunnel`: reach a deployment's database from a laptop, with any command or with psql."""

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
from scannerdb.numbers import WholeNumber
from scannerdb.options import DSN_VARIABLE, ENVIRONMENT_VARIABLE, deployment_option, environment_file, json_option
from scannerdb.outputs import output
from scannerdb.tunnel.passfile import passfile, write_password
from scannerdb.tunnel.port_forwarding import LOCALHOST, check_tools, forwarded_port
from stacks.settings import load_settings

# An IAM token is good for 15 minutes.
RENEW_TOKEN_S = 600
# libpq's environment variable for each parameter; psql and pg_dump read them.
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


@click.command(context_settings={"allow_interspersed_args": False})
@deployment_option
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--direct", is_flag=True, help="Connect past RDS Proxy, to the instance. Migrations and the doctor need it."
)
@click.option(
    "--user",
    type=click.Choice([READER, REFRESHER, DOCTOR, OWNER]),
    help=f"The user that logs in. [default: {READER} by an IAM token; with --direct the {OWNER} by the master secret]",
)
@click.option("--port", "local_port", type=WholeNumber(1, 65535), help="Port of this machine. [default: a free one]")
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
    """Forward a port to a deployment's database, and run COMMAND.

    The port is forwarded by Session Manager through the bastion. Without a COMMAND, a connection string is printed and
    the tunnel stays open until Ctrl-C. The host name in it is the server's own, so TLS is verified as everywhere. The
    password is in a file that only you may read and that is deleted with the tunnel. COMMAND gets SCANNERDB_DSN,
    SCANNERDB_ENVIRONMENT, and PGHOST, PGUSER and so on for psql; its exit code is the tunnel's.

    \b
    scannerdb tunnel -e prod                                print a DSN and stay open
    scannerdb tunnel -e prod --json                         the same as JSON, for programs
    scannerdb tunnel -e prod -- scannerdb status --watch    progress of prod, live
    scannerdb tunnel -e prod --direct -- psql               a shell as the owner
    scannerdb tunnel -e prod --direct -- scannerdb doctor
    scannerdb tunnel -e prod --user progress_refresher -- scannerdb refresh
    """  # noqa: D301
    if command and as_json:
        raise click.UsageError("--json prints how to connect; a COMMAND gets that in variables: leave --json out")
    chosen = user or (OWNER if direct else READER)
    if chosen == OWNER and not direct:
        raise click.UsageError(f"the {OWNER} logs in by password, which the proxy does not take; add --direct")
    check_tools()
    settings = load_settings(environment_file(environment))
    target = Target.of(settings, user=chosen, direct=direct or chosen in DIRECT_USERS)
    endpoint, bastion = target.endpoint, output(target.outputs, "bastion_instance_id", settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_exiting_on_signals())
        file = stack.enter_context(passfile())
        port = stack.enter_context(
            forwarded_port(
                region=settings.region, bastion=bastion, host=endpoint.host, port=endpoint.port, local_port=local_port
            )
        )

        def renew() -> None:
            password = target.password()
            write_password(file, host=endpoint.host, port=port, user=endpoint.user, password=password)

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
    """Run the command and return its exit code; for a signal 128 and its number, as a shell does."""
    if shutil.which(command[0]) is None:
        raise OperatorError(f"{command[0]} is not on PATH")
    variables = {variable: arguments[name] for name, variable in LIBPQ_VARIABLES.items()}
    ours = {DSN_VARIABLE: make_dsn(None, **arguments), ENVIRONMENT_VARIABLE: environment}
    # Ctrl-C is for the command: psql cancels a query with it. A handler and not SIG_IGN, which a child inherits.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(command, env=os.environ | variables | ours)
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
    """Renew the password; open connections do not need it, so a failure is printed and the tunnel stays."""
    try:
        renew()
    except OperatorError as error:
        click.echo(f"scannerdb: new connections will be refused soon: {error.message}", err=True)


@contextlib.contextmanager
def _exiting_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that the session and the password file are cleaned up."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
