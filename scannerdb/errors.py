"""What an operator is told when a command cannot do its work."""

from typing import IO, Any

import click


class OperatorError(click.ClickException):
    """The thing, the value seen and the way out; ends the command with exit code 1, without a stack trace."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as the other errors of `scannerdb` are printed."""
        click.echo(f"scannerdb: {self.message}", err=True, file=file)
