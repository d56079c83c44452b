"""Finds what the body of a request says and its service model does not know: the parsers read past it."""

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from moto.core.model import Shape


def unknown_members(body: bytes, input_shape: Shape | None, protocol: str) -> list[str]:
    """Return the paths of the members of a JSON or XML body that the model does not know.

    Raises:
        ValueError: the body is no JSON; `xml.etree.ET.ParseError`: no XML.

    """
    shape = input_shape and _body_shape(input_shape)
    if not body or shape is None:
        return []
    if protocol in {"json", "rest-json"}:
        return list(_in_json(json.loads(body), shape, ""))
    return list(_in_xml(ET.fromstring(body), shape, ""))  # noqa: S314 - of our own tools


def _body_shape(shape: Shape) -> Shape | None:
    """Return what the body holds: the input, or the one member that is the payload; `None` for raw bytes and text."""
    payload = shape.serialization.get("payload")
    if payload is None:
        return shape
    member: Shape = shape.members[payload]
    return member if member.type_name == "structure" else None


def _in_json(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        members = {member.serialization.get("name", name): member for name, member in _in_body(shape).items()}
        for name, each in value.items():
            if name in members:
                yield from _in_json(each, members[name], f"{path}{name}.")
            else:
                yield path + name
    elif shape.type_name == "list" and isinstance(value, list):
        for position, each in enumerate(value, start=1):
            yield from _in_json(each, shape.member, f"{path}{position}.")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, each in value.items():
            yield from _in_json(each, shape.value, f"{path}{key}.")


def _in_xml(node: ET.Element, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        members = {_tag_of(member, name): member for name, member in _in_body(shape).items()}
    elif shape.type_name == "list":
        members = {shape.member.serialization.get("name", "member"): shape.member}
    else:
        return
    for child in node:
        tag = child.tag.rpartition("}")[2]
        member = members.get(tag)
        if member is None:
            yield path + tag
        else:
            # The elements of a flattened list have no element around them.
            is_flat = member.type_name == "list" and member.serialization.get("flattened")
            yield from _in_xml(child, member.member if is_flat else member, f"{path}{tag}.")


def _tag_of(member: Shape, name: str) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        name = member.serialization.get("name", name)
        return str(member.member.serialization.get("name", name))
    return str(member.serialization.get("name", name))


def _in_body(shape: Shape) -> dict[str, Shape]:
    return {name: member for name, member in shape.members.items() if "location" not in member.serialization}
