"""What is wrong with settings, said in the terms of the file and the variables they came from."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, get_args

from pydantic import BaseModel

from stacks.settings.base import MisfitError
from stacks.settings.profiles import PROFILES
from stacks.settings.source import Key, Source, holds


def explain(model: type[BaseModel], source: Source, hidden: AbstractSet[str], error: Mapping[str, Any]) -> str:
    """Return one line on one of pydantic's errors: where the value is set, the value, and what is allowed.

    Args:
        model: what was to be filled.
        source: the values that it was to be filled from.
        hidden: keys that may not be set, and are not suggested.
        error: an element of `ValidationError.errors()`.

    """
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, MisfitError):
        error = {**error, "loc": cause.key, "input": cause.value}
    # Positions in a list are for the value shown, not for finding the key's description.
    key: Key = tuple(part for part in error["loc"] if isinstance(part, str))
    reason = str(cause) if error["type"] == "value_error" else ""
    origin, name = source.blamed(key, reason), ".".join(key)
    if error["type"] == "extra_forbidden":
        return f"{origin}: unknown key {name}; {_known_keys(model, key, hidden)}"
    allowed = _allowed(model, key, error)
    if error["type"] == "missing":
        return f"{origin}: {name} is missing; allowed: {allowed}"
    if reason and _field(model, key) is None:
        return f"{origin}: {name or 'the settings'} {reason}"
    because = f" ({reason})" if reason else ""
    return f"{origin}: {name} = {error['input']!r} is not allowed{because}; allowed: {allowed}"


def without_consequences(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return pydantic's errors; beside a size that does not exist, without what is missing because of it."""
    if not any(error["loc"] == ("size",) for error in errors):
        return list(errors)
    return [error for error in errors if error["type"] != "missing" or not _is_in_a_profile(error["loc"])]


def _is_in_a_profile(key: Key) -> bool:
    return any(holds(profile, key) for profile in PROFILES.values())


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
