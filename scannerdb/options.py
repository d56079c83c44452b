"""What the commands share: which database, the form of the answer, the release."""

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import psycopg2
from click.core import ParameterSource
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
from psycopg2.extras import RealDictCursor

from handlers import waiting
from handlers.contract.release import Release
from handlers.contract.roles import OWNER
from handlers.migrator.release import read_release
from handlers.migrator.session import Connect, RunLimits
from scannerdb.console import PROJECT_OPTION, PROJECT_VARIABLE
from scannerdb.login import Target, handler_dsn
from scannerdb.numbers import Number
from stacks import ROOT
from stacks.assets.package import build_release
from stacks.settings import Settings, environment_files, load_settings

MIGRATIONS = ROOT / "migrations"
ENVIRONMENTS = ROOT / "environments"
CONNECT_TIMEOUT_S = 5
# A connection whose server stopped answering, for instance after the laptop slept, is closed after 25 seconds.
KEEPALIVES: Mapping[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

# `scannerdb tunnel -e ENV -- COMMAND` sets both.
DSN_VARIABLE = "SCANNERDB_DSN"
ENVIRONMENT_VARIABLE = "SCANNERDB_ENVIRONMENT"


def complete_environment(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the environments that a shell may complete a name to."""
    return [name for name in environment_files(ENVIRONMENTS) if name.startswith(begun)]


dsn_option = click.option(
    "--dsn",
    envvar=DSN_VARIABLE,
    help="Which database: a libpq connection string or URL. Also from SCANNERDB_DSN.",
)
# The one way in which each command names an environment.
named_environment = functools.partial(
    click.option,
    *("--environment", "-e"),
    envvar=ENVIRONMENT_VARIABLE,
    metavar="NAME",
    shell_complete=complete_environment,
)
environment_option = named_environment(
    help="Without a DSN: the database that this environment's Terraform state names; it is reachable only from inside "
    f"its network. Also from {ENVIRONMENT_VARIABLE}. With neither: RDS_PROXY_ENDPOINT, RDS_PORT, RDS_DBNAME, "
    "RDS_USERNAME, RDS_PASSWORD and RDS_CA_BUNDLE, as the handlers read them.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
lock_patience_option = click.option(
    "--lock-patience-s",
    type=Number(0),
    default=RunLimits.lock_patience_s,
    show_default=True,
    help="How long to retry when a lock cannot be had.",
)


def _limit_waits(context: click.Context, _parameter: click.Parameter, limit_s: float | None) -> None:
    context.with_resource(waiting.deadline(limit_s))


# The waits of the whole command end at it, so no command has to pass it on. `migrate` has one with another meaning.
deadline_option = click.option(
    "--deadline-s",
    type=Number(0, min_open=True),
    expose_value=False,
    callback=_limit_waits,
    help="Give up after this; the server undoes what it has not finished.",
)


def _named(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str:
    if not name:
        known = ", ".join(environment_files(ENVIRONMENTS)) or "none is known without a project"
        raise click.UsageError(f"which environment? Add -e NAME, or set {ENVIRONMENT_VARIABLE}; there are: {known}")
    return name


# For commands that ask AWS or read settings: they work on an environment, and never on a DSN alone.
deployment_option = named_environment(
    callback=_named,
    help=f"The environment: a file of environments/. Also from {ENVIRONMENT_VARIABLE}.",
)


def environment_file(environment: str) -> Path:
    """Return the settings file of an environment.

    Raises:
        click.UsageError: no environment has this name, or no project is known.

    """
    _require_project(ENVIRONMENTS)
    known = environment_files(ENVIRONMENTS)
    if environment not in known:
        raise click.UsageError(f"environment {environment!r} is none of {', '.join(known)}")
    return known[environment]


def settings_with_thresholds(environment: str | None) -> Settings:
    """Return the settings of the environment whose thresholds a database is held against.

    Raises:
        click.UsageError: no environment is named, or none has this name.

    """
    if not environment:
        raise click.UsageError(
            f"whose thresholds? Add -e NAME, or set {ENVIRONMENT_VARIABLE}, as `scannerdb tunnel -e NAME -- ...` does"
        )
    return load_settings(environment_file(environment))


def database_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--dsn` and `--environment`, the arguments of `require_dsn`."""
    return dsn_option(environment_option(function))


def find_dsn(dsn: str | None, environment: str | None = None, *, user: str = OWNER) -> str | None:
    """Return the connection string of the chosen database; `None` when nothing chooses one.

    A DSN wins over an environment: inside of `scannerdb tunnel`, which sets both, the environment only chooses limits.

    Args:
        dsn: `--dsn` or SCANNERDB_DSN.
        environment: `--environment`.
        user: logs in to an environment's database; a DSN and the handlers' variables name their own.

    Raises:
        OperatorError: the environment is not deployed, or its state or its password cannot be read.

    """
    if dsn is not None:
        if environment is not None and is_from_command_line("environment"):
            server = psycopg2.extensions.parse_dsn(dsn).get("host", "the default host")
            click.echo(f"scannerdb: the DSN names the database, on {server}; {environment} is not looked up", err=True)
        return dsn
    if environment is not None:
        return deployment_dsn(load_settings(environment_file(environment)), user=user)
    return handler_dsn()


def is_from_command_line(parameter: str) -> bool:
    """Return whether the command line gives a parameter, and not a variable; true outside of a command."""
    context = click.get_current_context(silent=True)
    return context is None or context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def require_dsn(dsn: str | None, environment: str | None = None, *, user: str = OWNER) -> str:
    """Return the connection string of the chosen database; as `find_dsn`.

    Raises:
        OperatorError: as `find_dsn`.
        click.UsageError: nothing chooses a database.

    """
    if (chosen := find_dsn(dsn, environment, user=user)) is None:
        raise click.UsageError("name the database with --dsn or SCANNERDB_DSN, an --environment, or the RDS_ variables")
    return chosen


def deployment_dsn(settings: Settings, *, user: str) -> str:
    """Return the connection string with which a user logs in to an environment's database.

    Raises:
        OperatorError: it is not deployed or not reachable, or its state or its password cannot be read.

    """
    target = Target.of(settings, user=user)
    target.check_reachable()
    return target.dsn()


def connect_to(dsn: str) -> Connect:
    """Return a function that opens a connection in autocommit mode, or raises `psycopg2.Error` with its address."""

    def connect() -> "psycopg2.extensions.connection":
        try:
            # In a thread, because libpq resolves the name by a call that hears neither Ctrl-C nor a deadline.
            connection: psycopg2.extensions.connection = waiting.in_thread(
                lambda: psycopg2.connect(
                    dsn, application_name="scannerdb", connect_timeout=CONNECT_TIMEOUT_S, **KEEPALIVES
                ),
                check=lambda: waiting.sleep(0),
                every_s=0.1,
            )
        except psycopg2.OperationalError as error:
            # With a wait callback, psycopg2 cuts the address off libpq's message.
            why = str(error).strip().rpartition(" failed: ")[2]
            raise psycopg2.OperationalError(f"no connection to {address_of(dsn)}: {why}") from error
        connection.autocommit = True
        return connection

    return connect


def address_of(dsn: str) -> str:
    """Return where a connection string leads and as whom, for messages; without its password."""
    parts = psycopg2.extensions.parse_dsn(dsn)
    host = parts.get("host") or parts.get("hostaddr") or parts.get("service") or "the default host"
    port = f":{parts['port']}" if "port" in parts else ""
    user = f" as {parts['user']}" if "user" in parts else ""
    return f"{host}{port}{user}"


def current_release(migrations: Path = MIGRATIONS) -> Release:
    """Return the release of a folder of migrations.

    Raises:
        click.UsageError: no project is known.
        MigrationError: the folder cannot become a release.

    """
    _require_project(migrations)
    try:
        package = build_release(migrations)
        archive = package.path.read_bytes()
    except OSError:
        # The project belongs to another user, or its disk is full or read-only: no cache, so half a second more.
        with tempfile.TemporaryDirectory() as folder:
            package = build_release(migrations, folder=Path(folder))
            archive = package.path.read_bytes()
    return read_release(archive, expected_sha256=package.sha256)


def _require_project(folder: Path) -> None:
    if not folder.is_dir():
        raise click.UsageError(
            f"which project? This scannerdb is not in a checkout: name the one that holds {folder.name}/ with "
            f"`scannerdb {PROJECT_OPTION} DIR ...` or {PROJECT_VARIABLE}"
        )


class Session:
    """One connection with the interface that `handlers.progress` reads through.

    Each statement is a READ COMMITTED transaction of its own, because the default of a database or a role may be
    another isolation, in which a rebuild is refused and a refresh can fail. BEGIN says so, because a SET would pin the
    session in RDS Proxy.
    """

    def __init__(self, dsn: str) -> None:
        self._connection = connect_to(dsn)()
        self._connection.autocommit = False
        self._connection.isolation_level = ISOLATION_LEVEL_READ_COMMITTED

    def fetch_all(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            try:
                cursor.execute(query, parameters)
                rows = [dict(row) for row in cursor.fetchall()]
                self._connection.commit()
            except BaseException:
                if not self._connection.closed:  # a wait that is given up closes it
                    self._connection.rollback()
                raise
        return rows
