"""Durations as the options of commands take them: 90s, 15m, 1h, 2d."""

import re

import click

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_s(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """Return a duration in seconds; a callback of `click.option`.

    Raises:
        click.BadParameter: it is not written so.

    """
    found = re.fullmatch(r"([0-9]+)([smhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a duration; write 90s, 15m, 1h or 2d")
    return float(found[1]) * UNITS_S[found[2]]
