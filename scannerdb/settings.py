"""`scannerdb settings`: each setting of an environment, and what set it."""

import json
from pathlib import Path

import click

from scannerdb.options import deployment_option, environment_file, json_option
from stacks import ROOT
from stacks.settings import resolve_settings

# Longer values push what set them to the right, in their own line only.
USUAL_WIDTH = 20


@click.command("settings")
@deployment_option
@json_option
def show_settings(environment: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print each setting of an environment, and what set it.

    That is its file, a variable, its size or a default. docs/settings.md lists what each setting allows.

    \b
    scannerdb settings -e prod
    SCANNER__SIZE=small scannerdb settings -e prod    a smaller prod
    """  # noqa: D301
    file = environment_file(environment)
    resolved = [(key, value, _short(origin)) for key, value, origin in resolve_settings(file)]
    if as_json:
        settings = {key: {"value": value, "from": origin} for key, value, origin in resolved}
        click.echo(json.dumps(settings, default=_short))
        return
    longest = max(len(key) for key, _, _ in resolved)
    for key, text, origin in (
        ("setting", "value", "from"),
        *((key, text_of(value), by) for key, value, by in resolved),
    ):
        # Not broken at the terminal's width: a value is copied whole.
        click.secho(f"{key:<{longest}}  {text:<{USUAL_WIDTH}}  {origin}", dim=origin == "default")


def _short(text: object) -> str:
    """Return a path inside the project relative to it, and any other text unchanged."""
    path = Path(str(text))
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(text)


def text_of(value: object) -> str:
    """Return a value as TOML has it, a path inside the project without its folder, and "-" for none."""
    if isinstance(value, str | Path):
        return _short(value)
    return "-" if value is None else json.dumps(value, default=_short, ensure_ascii=False)
