"""The inventory of what ships: valid CycloneDX, the same on each machine, a licence and a hash for each part."""

from __future__ import annotations

import json
import os
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cyclonedx.schema
import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from lab.release import inventory as inventory_module
from lab.release import licences
from lab.release.inventory import inventory, to_json
from lab.release.libraries import libraries
from lab.release.licences import INVENTORY, PAGE, inventory_problems
from lab.release.packages import PROJECT, locked_hashes
from stacks import ROOT
from stacks.assets.package import build_function_package

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = Path(cyclonedx.schema.__file__).parent / "_res"
DOCUMENT = json.loads(INVENTORY.read_text())


def each_component(components: list[dict[str, Any]] = DOCUMENT["components"]) -> Iterator[dict[str, Any]]:
    for component in components:
        yield component
        yield from each_component(component.get("components", []))


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.SNAPSHOT.schema.json").read_text())


def test_it_is_what_the_lock_files_and_the_installed_packages_say() -> None:
    assert inventory_problems() == []
    assert to_json(inventory()) == INVENTORY.read_text()


def test_it_is_valid_cyclonedx_and_every_licence_is_one_of_spdx() -> None:
    others = [Resource.from_contents(schema(name), DRAFT7) for name in ("spdx", "jsf-0.82")]
    names = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    registry: Registry[Any] = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}", other) for name, other in zip(names, others, strict=True)
    )
    assert [
        error.message for error in Draft7Validator(schema("bom-1.6"), registry=registry).iter_errors(DOCUMENT)
    ] == []


def test_each_part_has_a_licence_and_a_hash_of_its_own_or_of_its_files() -> None:
    parts = [each for each in each_component() if each["type"] != "file"]
    assert [each["name"] for each in parts if not each.get("licenses")] == []
    hashed = [each for each in each_component() if "hashes" in json.dumps(each)]
    compiled_in = {part["name"] for part in inventory_module.KNOWN["part"]}
    own = {"functions", "scannerdb"}
    assert {each["name"] for each in each_component()} - {each["name"] for each in hashed} <= compiled_in | own


def test_the_libraries_beside_psycopg2_are_named_with_their_versions() -> None:
    found = {each["name"]: each for each in each_component()}
    assert found["openssl"]["version"].startswith("3.")
    assert found["libpq"]["version"].isdigit()
    assert found["openssl-libs"]["version"].startswith("1.1.1")
    assert found["krb5-libs"]["purl"].startswith("pkg:rpm/")
    assert found["PostgreSQL"]["licenses"] == [{"license": {"id": "PostgreSQL"}}]


def test_each_file_that_it_names_is_in_the_functions_package_with_that_hash() -> None:
    functions = next(each for each in DOCUMENT["components"] if each["name"] == "functions")
    files = [each for each in each_component([functions]) if each["type"] == "file"]
    with zipfile.ZipFile(build_function_package(platform="lambda").path) as archive:
        shipped = {name: sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert {each["name"]: each["hashes"][0]["content"] for each in files}.items() <= shipped.items()
    assert {name for name in shipped if ".libs/" in name} <= {each["name"] for each in files}


def test_everything_that_the_two_lock_files_ship_is_in_it() -> None:
    functions = next(each for each in DOCUMENT["components"] if each["name"] == "functions")
    shipped = {(each["name"], each["version"]) for each in functions["components"] if each["type"] == "library"}
    assert shipped == locked_hashes(ROOT / "handlers" / "requirements.lock").keys()
    console = {each["name"] for each in DOCUMENT["components"]}
    assert {name.partition("==")[0].partition(">=")[0] for name in PROJECT["dependencies"]} <= console


def test_it_names_no_machine_no_moment_and_no_address_of_a_registry() -> None:
    text = INVENTORY.read_text().replace(DOCUMENT["$schema"], "")
    assert "timestamp" not in text
    assert "serialNumber" not in text
    assert "://" not in text
    assert str(ROOT) not in text


def test_the_page_of_licences_has_a_row_for_each_part() -> None:
    page = PAGE.read_text()
    libraries_of_each = [each["name"] for each in each_component() if each["type"] == "library"]
    assert [name for name in libraries_of_each if f"| {name} |" not in page and f": {name} |" not in page] == []


@pytest.mark.parametrize("name", ["INVENTORY", "PAGE"])
def test_a_file_that_is_out_of_date_is_told_with_the_command_that_renews_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = ROOT / "build" / "tests" / f"out-of-date-{os.getpid()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PAGE.read_text().replace("| jmespath |", "| other |"))
    monkeypatch.setattr(licences, name, path)
    try:
        (problem,) = inventory_problems()
    finally:
        path.unlink()
    assert problem.startswith("build/tests/out-of-date-")
    assert problem.endswith("renew it with `make inventory`")


def test_a_package_without_a_known_licence_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = inventory_module.KNOWN
    without = {name: licence for name, licence in known["packages"].items() if name != "jmespath"}
    monkeypatch.setattr(inventory_module, "KNOWN", known | {"packages": without})
    with pytest.raises(ValueError, match="jmespath says its licence in no SPDX expression"):
        inventory()


def test_a_library_that_is_of_no_known_project_stops_it(tmp_path: Path) -> None:
    (tmp_path / "some.libs").mkdir()
    (tmp_path / "some.libs" / "libnew-1234.so").touch()
    with pytest.raises(ValueError, match=r"libnew-1234\.so"):
        list(libraries(tmp_path, inventory_module.KNOWN["library"]))
