"""docs/openapi.yaml, and answers held to it: with no field more than it names."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker

from stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = ROOT / "docs" / "openapi.yaml"
REGION = "eu-central-1"
DOCUMENT: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
_formats = FormatChecker(["uuid"])


@_formats.checks("date-time", raises=ValueError)
def _is_in_utc(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo == UTC


def _strict(document: dict[str, Any]) -> dict[str, Any]:
    """Refuse fields without a definition. The document allows them, so that clients accept fields that are added."""
    document = copy.deepcopy(document)
    document["components"]["schemas"]["Page"]["properties"]["jobs"]["items"]["unevaluatedProperties"] = False
    for item in document["paths"].values():
        for response in item["get"]["responses"].values():
            if "content" in response:
                response["content"]["application/json"]["schema"]["unevaluatedProperties"] = False
    for response in document["components"]["responses"].values():
        response["content"]["application/json"]["schema"]["unevaluatedProperties"] = False
    return document


STRICT = _strict(DOCUMENT)


def complaints(path: str, status_code: int, headers: Mapping[str, str], body: Any) -> list[str]:
    """Return how an answer of `GET path` differs from its definition."""
    response = STRICT["paths"][path]["get"]["responses"].get(str(status_code))
    if response is None:
        return [f"{status_code} is not defined"]
    if "$ref" in response:
        response = STRICT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"] | {"components": STRICT["components"]}
    validator = Draft202012Validator(schema, format_checker=_formats)
    differences = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    if headers.get("content-type") != "application/json":
        differences.append(f"content-type: {headers.get('content-type')}")
    return differences
