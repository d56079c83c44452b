"""The error that ends a command with one message."""

from typing import IO, Any

import click


class OperatorError(click.ClickException):
    """Names the thing, the value seen and the next step; ends the command with exit code 1, without a stack trace."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as the other errors of `scannerdb` are printed."""
        click.echo(f"scannerdb: {self.message}", err=True, file=file)
