"""What every table of the settings shares."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

# Terraform reads a text with one of these as a template, in its JSON syntax too:
# https://developer.hashicorp.com/terraform/language/syntax/json#string-templates
TEMPLATES = ("${", "%{")
WHOLE_NUMBER = re.compile(r"-?[0-9]+")


def on_change(effect: str) -> dict[str, Any]:
    """Return what goes with a `Field` as `json_schema_extra`: what a change does to a deployment; see docs/settings.md.

    Without it a change is made in place: nothing restarts and nothing is replaced.
    """
    return {"on_change": effect}


class MisfitError(ValueError):
    """A value that is allowed by itself does not fit another one.

    Args:
        key: of the value, such as `("database", "instance_class")`.
        value: as it is set.
        reason: what it does not fit, and what would.

    """

    def __init__(self, key: tuple[str, ...], value: object, reason: str) -> None:
        super().__init__(reason)
        self.key, self.value = key, value


class Model(BaseModel):
    """A table of the file: no unknown key, no change after loading. A description says what is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _is_a_plain_number(cls, value: Any, info: ValidationInfo) -> Any:
        # int() takes underscores, spaces and the digits of every script.
        annotation = cls.model_fields[str(info.field_name)].annotation
        is_whole = int in {annotation, *get_args(annotation)}
        if is_whole and isinstance(value, str) and not WHOLE_NUMBER.fullmatch(value):
            raise PydanticCustomError("int_parsing", "not a whole number")
        return value

    @field_validator("*")
    @classmethod
    def _is_no_template(cls, value: Any) -> Any:
        for text in _texts(value):
            for template in TEMPLATES:
                if template in text:
                    raise ValueError(f"{text!r} contains {template}, which begins an expression of Terraform")
        return value


def _texts(value: Any) -> list[str]:
    """Return a text, or those in a list or a free table; a table with a model has checked its own."""
    if isinstance(value, Mapping):
        return [text for pair in value.items() for text in pair]
    return list(value) if isinstance(value, tuple) else [value] if isinstance(value, str) else []
