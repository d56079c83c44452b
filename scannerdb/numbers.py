"""Numbers as options take them: digits 0 to 9. int() and float() also take underscores, other scripts, nan and inf."""

import re
from typing import Any

import click

_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class WholeNumber(click.IntRange):
    """A whole number of a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; a text of anything else is a mistake."""
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            self.fail(f"{value!r} is not a whole number; write it with the digits 0 to 9 alone", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A number of a range, with or without decimals."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; a text of anything else is a mistake."""
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            self.fail(f"{value!r} is not a number; write it like 30 or 0.5", param, ctx)
        return super().convert(value, param, ctx)
