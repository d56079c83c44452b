"""docs/settings.md, made from the models of the settings: `python -m scannerdb.settings_reference` renews it."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scannerdb.settings import text_of
from stacks import ROOT
from stacks.settings import Settings
from stacks.settings.profiles import PROFILES

DOCUMENT = ROOT / "docs" / "settings.md"
# JSON Schema's names of what TOML calls otherwise.
TOML_TYPES = {"array": "list", "object": "table"}
# Follows from the file's name, and is refused in the file.
FIXED = ("environment",)
IN_PLACE = "in place"

HEAD = """\
# Settings

Made from the models in `stacks/settings/` by `make settings`; edit those, not this page.

An environment is a file `environments/<name>.toml`. A variable overrides one value: `SCANNER__DATABASE__PORT=5433` sets
`port` of `[database]`. `size` sets what the file does not: where a default differs by size, each is listed.
`scannerdb settings -e prod` prints what holds for prod, and what set each value.

The last column says what a change does to an environment that is deployed. *In place* means that nothing restarts and
nothing is replaced. The maintenance window is `tue:02:30-tue:03:30`, UTC. `scannerdb review -e prod` shows the effects
of an actual change before the deploy, and is red when data would be lost.
"""


def settings_reference() -> str:
    """Return the page."""
    return HEAD + "".join(_sections(Settings))


def _sections(model: type[BaseModel], key: tuple[str, ...] = (), *, allowed: str | None = None) -> Iterator[str]:
    """Yield a heading and a table of the values of a model, then those of the tables inside of it.

    Args:
        model: of the table.
        key: of the table; none for the file as a whole.
        allowed: what the field of the table allows; optional tables say there what their absence means.

    """
    types = model.model_json_schema()["properties"]
    heading = f"`[{'.'.join(key)}]`" if key else "At the top of the file"
    rows: list[str] = []
    tables: list[str] = []
    for name, field in model.model_fields.items():
        if (inner := _model_of(field)) is not None:
            tables += _sections(inner, (*key, name), allowed=field.description)
        elif (*key, name) != FIXED:
            cells = (f"`{name}`", _type(types[name]), field.description or "", _default(field, (*key, name)))
            rows.append(" | ".join((*cells, _on_change(field))))
    yield f"\n## {heading}\n\n{model.__doc__}\n\n" + (f"Allowed: {allowed}.\n\n" if allowed else "")
    yield "| key | type | allowed | default | a change |\n|---|---|---|---|---|\n"
    yield "".join(f"| {row} |\n" for row in rows)
    yield from tables


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a table, which may be optional."""
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def _type(schema: dict[str, Any]) -> str:
    """Return the type that TOML wants; that of the first choice where null is another."""
    name: str = schema.get("type") or schema["anyOf"][0]["type"]
    return TOML_TYPES.get(name, name)


def _default(field: FieldInfo, key: tuple[str, ...]) -> str:
    by_size = {size: _in_profile(profile, key) for size, profile in PROFILES.items()}
    own = "" if field.is_required() or field.validate_default else _code(field.get_default(call_default_factory=True))
    if set(by_size.values()) == {None}:
        return own or "required"
    sizes = ", ".join(f"{size} {_code(value)}" for size, value in by_size.items() if value is not None)
    return f"{own or 'required without a size'}; {sizes}"


def _in_profile(profile: Any, key: tuple[str, ...]) -> Any:
    for part in key:
        profile = profile.get(part, {}) if isinstance(profile, dict) else {}
    return None if profile == {} else profile


def _code(value: object) -> str:
    return "none" if value in (None, (), {}) else f"`{text_of(value)}`"


def _on_change(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["on_change"]) if isinstance(extra, dict) else IN_PLACE


if __name__ == "__main__":
    DOCUMENT.write_text(settings_reference())
    print(f"Wrote {DOCUMENT.relative_to(ROOT)}.")
