"""`scannerdb settings`: what a deployment is made with, and where each value came from."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scannerdb.options import complete_environment, environment_file, json_option
from stacks import ROOT
from stacks.settings import resolve_settings


@click.command("settings")
@click.argument("environment", shell_complete=complete_environment)
@json_option
def show_settings(environment: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print each setting of ENVIRONMENT, and whether the file, a variable, its size or a default sets it.

    \b
    scannerdb settings prod
    SCANNER__SIZE=small scannerdb settings prod    what a smaller prod would be
    """  # noqa: D301
    file = environment_file(environment)
    resolved = [(key, value, _short(origin)) for key, value, origin in resolve_settings(file)]
    if as_json:
        settings = {key: {"value": value, "from": origin} for key, value, origin in resolved}
        click.echo(json.dumps(settings, default=_short))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    for key, value, origin in resolved:
        table.add_row(key, _text(value), origin, style="dim" if origin == "default" else "")
    Console(highlight=False, markup=False).print(table)


def _short(text: object) -> str:
    """Return a path inside the project as people type it, and other text as it is."""
    path = Path(str(text))
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(text)


def _text(value: object) -> str:
    if isinstance(value, str | Path):
        return _short(value)
    return "-" if value is None else json.dumps(value, default=_short, ensure_ascii=False)
