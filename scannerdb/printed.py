"""The commands that `scannerdb` prints: each works where it is printed, also when a tunnel has been closed again."""

import os

import click
import psycopg2
from click.core import ParameterSource

from handlers.contract.roles import OWNER
from handlers.diagnosis import Commands
from scannerdb.login import tunnel_as
from scannerdb.options import ENVIRONMENT_VARIABLE
from stacks.settings import Settings


def is_typed(context: click.Context) -> bool:
    """Whether `--dsn` names the database, and not a variable."""
    return context.get_parameter_source("dsn") is ParameterSource.COMMANDLINE


def commands_of(settings: Settings, dsn: str | None, *, is_typed: bool) -> Commands:
    """Return the commands that work where a command was typed.

    Args:
        settings: of the environment.
        dsn: the database that was named; `None`: that of the environment.
        is_typed: whether `--dsn` names it, and not a variable.

    """
    # `scannerdb tunnel` sets both variables. A DSN alone may be that of a database which no deployment made.
    in_tunnel = dsn is not None and not is_typed and ENVIRONMENT_VARIABLE in os.environ
    if dsn is None or in_tunnel:
        tunnel = f"{tunnel_as(OWNER, settings.environment)} -- " if in_tunnel else ""
        return Commands(prefix=settings.prefix, database=settings.rds_database, tunnel=tunnel)
    named = without_password(dsn) if is_typed else ""
    return Commands(prefix=settings.prefix, database=settings.rds_database, dsn=named)


def without_password(dsn: str) -> str:
    """Return a connection string for a command, which people copy to tickets; libpq finds the password elsewhere."""
    parts = psycopg2.extensions.parse_dsn(dsn)
    parts.pop("password", None)
    return psycopg2.extensions.make_dsn(None, **parts)
