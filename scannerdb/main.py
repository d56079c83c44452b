"""`scannerdb`: what an operator asks of the database."""

import sys
from typing import Any

import click
import psycopg2

from handlers.errors import ScannerDatabaseError
from scannerdb.cost.command import cost
from scannerdb.doctor import doctor
from scannerdb.functions.commands import invoke, logs
from scannerdb.maintenance import rebuild, refresh, verify
from scannerdb.migrations import migrate, plan, rollback
from scannerdb.partition.command import partition
from scannerdb.review.command import review
from scannerdb.settings import show_settings
from scannerdb.status.command import status
from scannerdb.tunnel.command import tunnel
from stacks.assets.manifest import MigrationError
from stacks.settings import SettingsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Find out what is wrong, keep progress right, and migrate.

    \b
    export SCANNERDB_DSN='host=127.0.0.1 dbname=scanner_db user=scanner_admin'
    export SCANNERDB_ENVIRONMENT=dev

    \b
    scannerdb doctor                      what is wrong, and the next command
    scannerdb doctor lock-waits -e prod   what belongs to one alarm of prod
    scannerdb status --watch              how far the scans are, live
    scannerdb refresh                     bring cached progress up to date now
    scannerdb verify                      compare every job with a full count
    scannerdb rebuild                     mend what verify lists
    scannerdb plan                        what a release would do to a database
    scannerdb migrate                     do it
    scannerdb rollback                    take the newest migration back
    scannerdb review prod                 plan prod with Terraform, and judge what would change or be lost
    scannerdb partition job_objects       split the table, while writers write
    scannerdb settings prod               what prod is made with, and why
    scannerdb cost prod                   what that costs a month
    scannerdb tunnel prod -- COMMAND      run a command inside prod's network
    scannerdb logs refresh -e prod        what a function logged
    scannerdb invoke refresh -e prod      run a function

    Which database: --dsn or SCANNERDB_DSN, which comes first; else --environment, which looks the address up in the
    Terraform state of a deployment; else the variables of the handlers, RDS_PROXY_ENDPOINT, RDS_PORT, RDS_DBNAME,
    RDS_USERNAME, RDS_PASSWORD and RDS_CA_BUNDLE. SCANNERDB_ENVIRONMENT is the --environment of doctor, logs and invoke.
    docs/operations/ shows each command at work.
    """  # noqa: D301 - click takes the character for "do not wrap"


for registered in (
    doctor,
    plan,
    migrate,
    rollback,
    review,
    refresh,
    verify,
    rebuild,
    show_settings,
    status,
    tunnel,
    logs,
    invoke,
    cost,
    partition,
):
    main.add_command(registered)


def command(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake ends with one message and exit code 1, without a stack trace."""
    try:
        return main(arguments, prog_name="scannerdb", standalone_mode=True)
    except (ScannerDatabaseError, MigrationError, SettingsError, psycopg2.Error) as error:
        click.echo(f"scannerdb: {str(error).strip()}", err=True)
        sys.exit(1)
