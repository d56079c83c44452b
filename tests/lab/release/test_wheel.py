"""The wheel of the command line and what lies beside it: the same bytes each time, all that it needs, sums that agree.

`make wheel` installs it into an empty environment and uses it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from lab.release.licences import INVENTORY
from lab.release.packages import PROJECT, canonical
from lab.release.wheel import REQUIREMENTS, SUMS, WheelError, _try_without_database, build_dist

if TYPE_CHECKING:
    from pathlib import Path

VERSION = PROJECT["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dist(tmp_path_factory.mktemp("dist"))


def test_it_is_the_same_bytes_each_time_and_is_named_by_the_one_version(wheel: Path, tmp_path: Path) -> None:
    again = build_dist(tmp_path)
    assert again.read_bytes() == wheel.read_bytes()
    assert wheel.name == f"scanner_database-{VERSION}-py3-none-any.whl"


def test_all_that_it_depends_on_is_locked_beside_it_with_hashes(wheel: Path) -> None:
    locked = (wheel.parent / REQUIREMENTS).read_text().replace(" \\\n", " ").splitlines()
    assert [line for line in locked if "--hash=sha256:" not in line] == []
    names = {canonical(line.partition("==")[0]) for line in locked}
    needed = {*PROJECT["dependencies"], *(text for name in names for text in importlib.metadata.requires(name) or ())}
    parsed = map(Requirement, needed)
    always = {canonical(each.name) for each in parsed if not each.marker or each.marker.evaluate({"extra": ""})}
    assert always - names == set()


def test_inventory_and_notes_lie_beside_it_and_the_sums_agree(wheel: Path) -> None:
    assert json.loads((wheel.parent / INVENTORY.name).read_text())["metadata"]["component"]["version"] == VERSION
    assert VERSION in (wheel.parent / "notes.md").read_text()
    sums = dict(reversed(line.split("  ")) for line in (wheel.parent / SUMS).read_text().splitlines())
    others = [path for path in wheel.parent.iterdir() if path.name != SUMS]
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in others}


def test_a_wheel_that_names_another_version_fails_its_trial(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(WheelError, match=r"says that its version is 9\.9\.9"):
        _try_without_database(lambda *_: "scannerdb 9.9.9\n", tmp_path, wheel)
