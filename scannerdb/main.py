"""`scannerdb`: the group of all commands."""

import sys
from typing import Any, NoReturn

import click
import psycopg2

from handlers import waiting
from handlers.errors import DatabaseUnavailableError, ScannerDatabaseError
from scannerdb.accept.command import accept
from scannerdb.causes import sentence
from scannerdb.console import INTERRUPTED, PROJECT_OPTION, PROJECT_VARIABLE
from scannerdb.cost.command import cost
from scannerdb.doctor import doctor
from scannerdb.errors import OperatorError
from scannerdb.functions.commands import invoke, logs
from scannerdb.maintenance import rebuild, refresh, verify
from scannerdb.migrations import migrate, plan, rollback
from scannerdb.partition.command import partition
from scannerdb.preflight.command import preflight
from scannerdb.remedies import end, repair
from scannerdb.retire import retire_jobs
from scannerdb.review.command import review
from scannerdb.settings import show_settings
from scannerdb.status.command import status
from scannerdb.tunnel.command import tunnel
from scannerdb.version import version
from stacks.assets.migration_files import MigrationError
from stacks.disk_errors import disk_problem
from stacks.settings import SettingsError

COMMANDS = {
    "Look": (status, doctor, logs, show_settings, cost),
    "Keep progress exact": (refresh, verify, rebuild),
    "End what the doctor found": (end, repair),
    "Change the database": (plan, migrate, rollback, partition, retire_jobs),
    "Deployments": (preflight, review, accept, tunnel, invoke),
}

# More characters than a first sentence has.
UNCUT = 1000
_NOTHING = "nothing was changed"
_WHOLE = "it is one transaction: the server undoes it, or had finished it"
# What Ctrl-C and --deadline-s leave.
LEFT = {
    **dict.fromkeys(("status", "doctor", "verify", "plan", "preflight"), _NOTHING),
    **dict.fromkeys(("refresh", "rebuild"), _WHOLE),
    "end": "a session that was asked to end does end",
    "repair": "each statement is undone as a whole, but for a build that runs CONCURRENTLY: the doctor shows its rest",
    "accept": "nothing was changed, but for a refresh that it may have begun",
    "migrate": "what was applied is recorded; `scannerdb migrate` goes on from there",
    "rollback": "what was undone is recorded; `scannerdb rollback` goes on from there",
    "retire": "what is deleted stays deleted; the same command goes on from there",
    "partition": "what is done stays; the same command goes on from there, --revert undoes it",
}


class GroupedCommands(click.Group):
    """A group whose help lists its commands under headings, and that says what an early end left."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            OperatorError: no connection, or no answer until `--deadline-s`.
            click.exceptions.Exit: Ctrl-C; the code is 130, as a shell's.

        """
        try:
            return super().invoke(ctx)
        except DatabaseUnavailableError as error:
            if isinstance(error.__cause__, psycopg2.Error):
                raise OperatorError(sentence(error.__cause__)) from error
            raise OperatorError(f"{error}{_left(ctx)}") from error
        except KeyboardInterrupt:
            click.echo(f"scannerdb: interrupted{_left(ctx)}", err=True)
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write a list of commands for each heading."""
        longest = max(map(len, self.commands))
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                # The whole sentence: it is wrapped, not cut.
                formatter.write_dl([(f"{each.name:<{longest}}", each.get_short_help_str(UNCUT)) for each in commands])


def _left(context: click.Context) -> str:
    left = LEFT.get(context.invoked_subcommand or "")
    return f"; {left}" if left else ""


def print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's
    """Print the version and end; it asks git, so it is not computed for the other commands."""
    if wanted:
        click.echo(f"scannerdb {version()}")
        context.exit()


@click.group(cls=GroupedCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Print the version."
)
@click.option(
    PROJECT_OPTION,
    metavar="DIR",
    expose_value=False,
    help=f"The checkout whose environments/ and migrations/ are used. Also from {PROJECT_VARIABLE}. [default: that of "
    "this command]",
)
def main() -> None:
    """Find out what is wrong, keep progress exact, and migrate.

    \b
    export SCANNERDB_ENVIRONMENT=dev
    scannerdb doctor
    scannerdb tunnel -e dev -- scannerdb status --watch

    Which database: --dsn or SCANNERDB_DSN, which comes first; else --environment, which looks the address up in the
    Terraform state of a deployment; else the variables of the handlers, RDS_PROXY_ENDPOINT, RDS_PORT, RDS_DBNAME,
    RDS_USERNAME, RDS_PASSWORD and RDS_CA_BUNDLE. SCANNERDB_ENVIRONMENT is the --environment of each command.
    docs/operations/ shows each command at work.
    """  # noqa: D301 - click takes the character for "do not wrap"


for registered in COMMANDS.values():
    for each in registered:
        main.add_command(each)


def command(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; a user's mistake ends with one message and exit code 1, without a stack trace."""
    try:
        with waiting.interruptible():
            code = main.main(arguments, prog_name="scannerdb", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as abort:
        # click makes one of a "no", and of each Ctrl-C that does not reach GroupedCommands.invoke.
        click.echo("Aborted!", err=True)
        sys.exit(INTERRUPTED if isinstance(abort.__context__, KeyboardInterrupt) else 1)
    except psycopg2.Error as error:
        message = sentence(error)
    except (ScannerDatabaseError, MigrationError, SettingsError) as error:
        message = str(error).strip()
    except OSError as error:
        if (problem := disk_problem(error)) is None:
            raise
        message = problem
    click.echo(f"scannerdb: {message}", err=True)
    sys.exit(1)
