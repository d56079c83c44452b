"""The values that settings are made of: a TOML file, `SCANNER__` variables that win, a profile that completes them."""

import codecs
import copy
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

VARIABLE_PREFIX = "SCANNER__"

Key = tuple[str, ...]


class SettingsError(ValueError):
    """The settings cannot be used; the message has one line a problem, fit to be shown without a stack trace."""


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """Named sets of values, and the key whose value names the one that completes a file."""

    key: str
    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Source:
    """What one file says with all that overrides or completes it, and where each value came from."""

    path: Path
    values: Mapping[str, Any]
    variables: Mapping[Key, str]
    profile: str
    in_file: frozenset[Key]

    @classmethod
    def read(cls, path: Path, environ: Mapping[str, str] = os.environ, *, profiles: Profiles) -> Self:
        """Read a file and the variables.

        Raises:
            SettingsError: the file cannot be read, or a variable sets what cannot be set.

        """
        values = read_toml(path)
        in_file = frozenset(_keys(values))
        texts = _variables(environ)
        _override(values, texts)
        chosen = values.get(profiles.key)
        completed = _completed(profiles.values.get(chosen, {}) if isinstance(chosen, str) else {}, values)
        variables = {key: variable for key, (variable, _) in texts.items()}
        return cls(path, completed, variables, f"{profiles.key} {chosen}", in_file)

    def origin(self, key: Key) -> str:
        """Return what set a key or something in it: a variable, the file or the profile; else the file."""
        for overridden, variable in self.variables.items():
            if overridden[: len(key)] == key or key[: len(overridden)] == overridden:
                return variable
        return self._profile_or_file(key)

    def blamed(self, key: Key, reason: str) -> str:
        """Return what to name for a problem of a key: a variable only where it sets the key or what the reason names.

        Args:
            key: of the value, or of the table whose values do not fit together.
            reason: what is wrong; it names the keys of a table that matter.

        """
        own = [variable for set_, variable in self.variables.items() if key[: len(set_)] == set_]
        inside = {set_: variable for set_, variable in self.variables.items() if set_[: len(key)] == key != set_}
        named = [variable for set_, variable in inside.items() if re.search(rf"\b{re.escape(set_[-1])}\b", reason)]
        if blamed := own or named:
            return ", ".join(blamed)
        # A table that no file and no profile has was made by its variables.
        made = ", ".join(inside.values()) if key and key not in self.in_file else ""
        return made or self._profile_or_file(key)

    def _profile_or_file(self, key: Key) -> str:
        from_profile = bool(key) and key not in self.in_file and self.is_set(key)
        return self.profile if from_profile else str(self.path)

    def without_profile(self, keys: Iterable[Key]) -> Self:
        """Return it without what the profile sets for these keys; what the file or a variable sets stays."""
        values = copy.deepcopy(dict(self.values))
        for key in keys:
            if self.is_set(key) and self.origin(key) == self.profile:
                table = values
                for part in key[:-1]:
                    table = table[part]
                del table[key[-1]]
        return replace(self, values=values)

    def is_set(self, key: Key) -> bool:
        """Return whether anything sets the key; else it is the model's own default."""
        return holds(self.values, key)


def environment_files(folder: Path) -> dict[str, Path]:
    """Return the settings file of each environment by its name."""
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a settings file.

    Raises:
        SettingsError: it does not exist, cannot be read, or is not TOML in UTF-8.

    """
    try:
        return tomllib.loads(_text(path))
    except FileNotFoundError as missing:
        known = ", ".join(environment_files(path.parent)) or "none"
        raise SettingsError(f"{path} does not exist; environments here: {known}") from missing
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as broken:
        raise SettingsError(f"{path} is not TOML: {broken}") from broken


def _text(path: Path) -> str:
    """Return a file's text without the mark that some editors put in front of UTF-8 (BOM).

    Raises:
        SettingsError: it has another encoding.

    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SettingsError(f"{path} is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"{path}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


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


def _completed(profile: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, completed by the profile; a value where a table should be is for the model to refuse."""
    merged = copy.deepcopy(dict(profile))
    for name, value in values.items():
        inner = merged.get(name)
        merged[name] = _completed(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _keys(values: Mapping[str, Any], above: Key = ()) -> list[Key]:
    """Return the keys of all values and of all tables."""
    found: list[Key] = []
    for name, value in values.items():
        found.append((*above, name))
        if isinstance(value, dict):
            found += _keys(value, (*above, name))
    return found


def holds(values: Mapping[str, Any], key: Key) -> bool:
    """Return whether tables within tables have a value for the key."""
    inner: Any = values
    for part in key:
        if not isinstance(inner, dict) or part not in inner:
            return False
        inner = inner[part]
    return True
