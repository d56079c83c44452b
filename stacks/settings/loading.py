"""Settings from a file of environments/, the variables that override it, and the profile that completes both."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from stacks.settings.cluster import not_of_a_cluster
from stacks.settings.existing_database import inapplicable
from stacks.settings.model import Settings
from stacks.settings.problems import explain, without_consequences
from stacks.settings.profiles import PROFILES
from stacks.settings.source import Profiles, SettingsError, Source
from stacks.settings.state_owner import refuse_path_of_another


def load_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read one environment's file and the variables that override it; its `size` completes both.

    Raises:
        SettingsError: a value is missing, unknown or not allowed; one line for each, naming its file or variable.
            Or the state is that of another file.

    """
    return _load(_read(path, environ))


def resolve_settings(path: Path, environ: Mapping[str, str] = os.environ) -> list[tuple[str, Any, str]]:
    """Return each setting as key, value and where the value came from.

    Raises:
        SettingsError: as of `load_settings`.

    """
    source = _read(path, environ)
    settings = _load(source)
    hidden = {(name,) for name in _fixed(path)} | _inapplicable(source)
    return [
        (".".join(key), value, source.origin(key) if source.is_set(key) else "default")
        for key, value in _leaves(settings)
        if key not in hidden
    ]


def _read(path: Path, environ: Mapping[str, str]) -> Source:
    source = Source.read(path, environ, profiles=Profiles(key="size", values=PROFILES))
    for name in _fixed(path).keys() & source.values.keys():
        raise SettingsError(f"{source.origin((name,))}: {name} follows from the file's name; remove it")
    return source.without_profile(_inapplicable(source))


def _inapplicable(source: Source) -> set[tuple[str, ...]]:
    """Return the keys of an instance of our own, where the database is another kind: no size sets them."""
    database = source.values.get("database")
    if not isinstance(database, Mapping):
        return set()  # the model refuses what is no table
    return {("database", name) for name in (*inapplicable(database), *not_of_a_cluster(database))}


def _load(source: Source) -> Settings:
    fixed = _fixed(source.path)
    try:
        settings = Settings.model_validate({**source.values, **fixed})
    except ValidationError as invalid:
        errors = without_consequences([dict(error) for error in invalid.errors()])
        problems = [explain(Settings, source, fixed.keys(), error) for error in errors]
        raise SettingsError("\n".join(problems)) from invalid
    refuse_path_of_another(source, settings)
    return settings


def _fixed(path: Path) -> dict[str, str]:
    return {"environment": path.stem}


def _leaves(model: BaseModel, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(model).model_fields:
        value, key = getattr(model, name), (*above, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, key)
        else:
            yield key, value
