"""Holds the parameters of a call against the constraints of its service model.

The sentences are those of AWS's services, for instance "Member must have length less than or equal to 64". A member
that the model does not know is refused too, although many services ignore it: what it asks for would not happen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.model import Shape

from lab.emulator.contract.patterns import compile_pattern
from lab.emulator.contract.requests import Call

# What the parsers make of each type; any object may be a timestamp.
TYPES: dict[str, Any] = {
    "blob": (bytes, str),
    "boolean": bool,
    "double": (int, float),
    "float": (int, float),
    "integer": int,
    "list": list,
    "long": int,
    "map": dict,
    "string": str,
    "structure": dict,
}
NUMBERS = {"double", "float", "integer", "long"}
WITH_LENGTH = {"blob", "list", "map", "string"}
# A value may be a whole policy.
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One constraint that a call does not hold.

    Attributes:
        kind: `required`, `unknown`, `union`, `type`, `length`, `range`, `enum` or `pattern`.
        member: the path, such as `tags.1.member.key`.
        constraint: what AWS says of it, such as `Member must not be null`.
        value: what was sent, for people; a secret is left out.

    """

    kind: str
    member: str
    constraint: str
    value: str

    def __str__(self) -> str:
        return f"{self.value} at '{self.member}' failed to satisfy constraint: {self.constraint}"


def find_violations(call: Call) -> list[Violation]:
    """Return each constraint that the call does not hold."""
    unknown = [
        Violation(kind="unknown", member=name, constraint="Member must be one of the model", value="Value")
        for name in call.unread
    ]
    shape = call.operation.input_shape
    return unknown + ([] if shape is None else list(_check(call.parameters, shape, "")))


def _check(value: Any, shape: Shape, member: str) -> Iterator[Violation]:
    """Check one value and all that it holds."""
    if _is_free(shape):
        return
    if not isinstance(value, TYPES.get(shape.type_name, object)):
        yield _violation("type", member, f"Member must be of type {shape.type_name}", shape, value)
        return
    yield from _check_bounds(value, shape, member)
    if shape.type_name == "structure":
        yield from _check_structure(value, shape, member)
    elif shape.type_name == "list":
        for position, each in enumerate(value, start=1):
            yield from _check(each, shape.member, _join(member, f"{position}.member"))
    elif shape.type_name == "map":
        for key, each in value.items():
            yield from _check(key, shape.key, f"{member}.{key}")
            yield from _check(each, shape.value, f"{member}.{key}")
    elif shape.type_name == "string":
        yield from _check_string(value, shape, member)


def _is_free(shape: Shape) -> bool:
    """Return whether the model leaves the inside to the caller: a document, or JSON in a header."""
    return bool(shape.metadata.get("document") or shape.serialization.get("jsonvalue"))


def _check_structure(value: dict[str, Any], shape: Shape, member: str) -> Iterator[Violation]:
    said = {name: each for name, each in value.items() if each is not None}
    for name in shape.required_members:
        if name not in said:
            yield _violation("required", _join(member, name), "Member must not be null", shape.members[name], None)
    if shape.is_tagged_union and len(said) != 1:
        yield _violation("union", member, f"Member must have one of [{', '.join(shape.members)}]", shape, value)
    for name, each in said.items():
        yield from _check(each, shape.members[name], _join(member, name))


def _check_string(value: Any, shape: Shape, member: str) -> Iterator[Violation]:
    if shape.enum and value not in shape.enum:
        allowed = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        yield _violation("enum", member, allowed, shape, value)
    pattern = shape.metadata.get("pattern")
    if pattern and not compile_pattern(pattern).fullmatch(value):
        allowed = f"Member must satisfy regular expression pattern: {pattern}"
        yield _violation("pattern", member, allowed, shape, value)


def _check_bounds(value: Any, shape: Shape, member: str) -> Iterator[Violation]:
    """Check the length of what has one, and the value of numbers."""
    if shape.type_name in NUMBERS:
        kind, what, size = "range", "value", value
    elif shape.type_name in WITH_LENGTH:
        kind, what, size = "length", "length", len(value)
    else:
        return
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _violation(kind, member, f"Member must have {what} greater than or equal to {least}", shape, value)
    if most is not None and size > most:
        yield _violation(kind, member, f"Member must have {what} less than or equal to {most}", shape, value)


def _violation(kind: str, member: str, constraint: str, shape: Shape, value: Any) -> Violation:
    hidden = shape.metadata.get("sensitive") or shape.type_name in {"blob", "list", "map", "structure"}
    shown = "null" if value is None else f"'{str(value)[:SHOWN_CHARACTERS]}'"
    said = "Value" if hidden and value is not None else f"Value {shown}"
    return Violation(kind=kind, member=member, constraint=constraint, value=said)


def _join(member: str, name: str) -> str:
    """Name a member as AWS does: with small first letters."""
    name = name[:1].lower() + name[1:]
    return f"{member}.{name}" if member else name
