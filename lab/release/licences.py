"""docs/inventory.cdx.json, and the tables of docs/licences.md that show its licences."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.release.inventory import CONSOLE, FUNCTIONS, inventory, to_json
from stacks import ROOT

INVENTORY = ROOT / "docs" / "inventory.cdx.json"
PAGE = ROOT / "docs" / "licences.md"
HEAD = "| part | version | licence |\n|---|---|---|\n"


def write_inventory() -> None:
    """Write the inventory and the tables."""
    for path, text in _written().items():
        path.write_text(text)


def inventory_problems() -> list[str]:
    """Return a sentence for each of the two files that differs from what would be written now."""
    return [
        f"{path.relative_to(ROOT)} is not what the lock files say; renew it with `make inventory`"
        for path, text in _written().items()
        if not path.exists() or path.read_text() != text
    ]


def _written() -> dict[Path, str]:
    document = inventory()
    functions, console, *packages = document["components"]
    tables = {FUNCTIONS: functions["components"], CONSOLE: [*packages, *console["components"]]}
    page = PAGE.read_text()
    for name, components in tables.items():
        page = _with_table(page, name, HEAD + "".join(_rows(components)))
    return {INVENTORY: to_json(document), PAGE: page}


def _with_table(page: str, name: str, table: str) -> str:
    marks = re.compile(rf"(<!-- {name}: written by `make inventory` -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    return marks.sub(lambda found: f"{found[1]}{table}{found[2]}", page)


def _rows(components: list[dict[str, Any]], inside: str = "") -> Iterator[str]:
    """Yield a row for each component, and after it those for what is in it; files have no row."""
    for component in components:
        if component["type"] == "file":
            continue
        name = f"in {inside}: {component['name']}" if inside else component["name"]
        yield f"| {name} | {component.get('version', '')} | {_licence(component)} |\n"
        yield from _rows(component.get("components", []), component["name"])


def _licence(component: dict[str, Any]) -> str:
    (choice,) = component["licenses"]
    return str(choice.get("expression") or choice["license"].get("id") or choice["license"]["name"])
