"""Read a pydantic model from a TOML file and `SCANNER__` variables, and explain what is wrong in their terms."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

VARIABLE_PREFIX = "SCANNER__"

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Key = tuple[str, ...]


class SettingsError(ValueError):
    """The settings cannot be used; the message has one line a problem, fit to be shown without a stack trace."""


def read_settings(
    model: type[AnyModel], path: Path, environ: Mapping[str, str], *, fixed: Mapping[str, Any]
) -> AnyModel:
    """Return `model` filled from the file, the variables, and `fixed`, which neither may set.

    Raises:
        SettingsError: the file cannot be read, or a value is missing, unknown or not allowed.

    """
    values = _read_toml(path)
    variables = _variables(environ)
    _override(values, variables)
    for name in fixed.keys() & values.keys():
        raise SettingsError(f"{_origin(path, variables, (name,))}: {name} follows from the file's name; remove it")
    try:
        return model.model_validate({**values, **fixed})
    except ValidationError as invalid:
        problems = [_explain(model, path, variables, fixed.keys(), dict(error)) for error in invalid.errors()]
        raise SettingsError("\n".join(problems)) from invalid


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as missing:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml"))) or "none"
        raise SettingsError(f"{path} does not exist; environments here: {known}") from missing
    except tomllib.TOMLDecodeError as broken:
        raise SettingsError(f"{path} is not TOML: {broken}") from broken


def _variables(environ: Mapping[str, str]) -> dict[Key, tuple[str, str]]:
    """Return key -> (variable, its text)."""
    return {
        tuple(name.removeprefix(VARIABLE_PREFIX).lower().split("__")): (name, text)
        for name, text in sorted(environ.items())
        if name.startswith(VARIABLE_PREFIX)
    }


def _override(values: dict[str, Any], variables: Mapping[Key, tuple[str, str]]) -> None:
    for key, (variable, text) in variables.items():
        table = values
        for part in key[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise SettingsError(f"{variable}: {'.'.join(key)} is not a key, because {part} is a value")
        table[key[-1]] = _parse(variable, text)


def _parse(variable: str, text: str) -> Any:
    """Return a list for `[...]` in TOML; pydantic makes numbers and booleans of the rest."""
    if not text.startswith("["):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as broken:
        raise SettingsError(f"{variable}={text} is not a TOML list: {broken}") from broken


def _origin(path: Path, variables: Mapping[Key, tuple[str, str]], key: Key) -> str:
    """Return the variable that set the key or something in it, or else the file."""
    for overridden, (variable, _) in variables.items():
        if overridden[: len(key)] == key or key[: len(overridden)] == overridden:
            return variable
    return str(path)


def _explain(
    model: type[BaseModel],
    path: Path,
    variables: Mapping[Key, tuple[str, str]],
    hidden: AbstractSet[str],
    error: Mapping[str, Any],
) -> str:
    # Positions in a list are for the value shown, not for finding the key's description.
    key: Key = tuple(part for part in error["loc"] if isinstance(part, str))
    origin, name = _origin(path, variables, key), ".".join(key)
    if error["type"] == "extra_forbidden":
        return f"{origin}: unknown key {name}; {_known_keys(model, key, hidden)}"
    allowed = _allowed(model, key, error)
    if error["type"] == "missing":
        return f"{origin}: {name} is missing; allowed: {allowed}"
    reason = str(error["ctx"]["error"]) if error["type"] == "value_error" else ""
    if reason and _field(model, key) is None:
        return f"{origin}: {name or 'the settings'} {reason}"
    because = f" ({reason})" if reason else ""
    return f"{origin}: {name} = {error['input']!r} is not allowed{because}; allowed: {allowed}"


def _known_keys(model: type[BaseModel], key: Key, hidden: AbstractSet[str]) -> str:
    table = _table(model, key[:-1]) or model
    close = difflib.get_close_matches(key[-1], table.model_fields, n=1)
    keys = ", ".join(sorted(table.model_fields.keys() - hidden))
    return (f"did you mean {close[0]}? " if close else "") + f"allowed: {keys}"


def _allowed(model: type[BaseModel], key: Key, error: Mapping[str, Any]) -> str:
    field = _field(model, key)
    if field is not None and field.description:
        return str(field.description)
    if (table := _table(model, key)) is not None:
        return f"a table with {', '.join(table.model_fields)}"
    return str(error["msg"])


def _field(model: type[BaseModel], key: Key) -> Any:
    """Return the field of a value; None for a table and for the file as a whole."""
    table = _table(model, key[:-1])
    if not key or table is None or _table(model, key) is not None:
        return None
    return table.model_fields.get(key[-1])


def _table(model: type[BaseModel], key: Key) -> type[BaseModel] | None:
    for part in key:
        field = model.model_fields.get(part)
        tables = list(_models(field.annotation)) if field is not None else []
        if not tables:
            return None
        model = tables[0]
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
