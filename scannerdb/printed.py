"""The commands that `scannerdb` prints: each works where it is printed, also when a tunnel has been closed again."""

import os

import psycopg2

from handlers.contract.roles import OWNER
from handlers.diagnosis import Commands
from scannerdb.login import tunnel_as
from scannerdb.options import ENVIRONMENT_VARIABLE, is_from_command_line
from stacks.settings import Settings


def commands_of(settings: Settings, dsn: str | None) -> Commands:
    """Return the commands that work where a command was typed.

    Args:
        settings: of the environment.
        dsn: the database that was named; `None`: that of the environment.

    """
    named = typed_dsn(dsn)
    # `scannerdb tunnel` sets both variables. A DSN alone may be that of a database which no deployment made.
    in_tunnel = dsn is not None and named is None and ENVIRONMENT_VARIABLE in os.environ
    if dsn is None or in_tunnel:
        tunnel = f"{tunnel_as(OWNER, settings.environment)} -- " if in_tunnel else ""
        return Commands(prefix=settings.prefix, database=settings.rds_database, tunnel=tunnel)
    return Commands(prefix=settings.prefix, database=settings.rds_database, dsn=named or "")


def typed_dsn(dsn: str | None) -> str | None:
    """Return the `--dsn` that names the database; `None` where a variable names it, or nothing.

    It is for a command, which people copy to tickets, so the password is left out; libpq finds it elsewhere.
    """
    if dsn is None or not is_from_command_line("dsn"):
        return None
    parts = psycopg2.extensions.parse_dsn(dsn)
    parts.pop("password", None)
    return psycopg2.extensions.make_dsn(None, **parts)
