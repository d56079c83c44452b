"""The exit test moves all imports, installs by hash, and sees a difference. `make exit-test` runs the whole of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from lab.exit_test import __main__ as exit_test
from lab.exit_test.compare import LONGEST_DIFFERENCE, difference, read_stack
from lab.exit_test.fork import LOCK, copy_code, renamed
from stacks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

STACK = {"//": {"metadata": {"version": "0.21.0", "backend": "local"}}, "resource": {"aws_vpc": {"vpc": {"a": 1}}}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from cdktf import App, Fn", "from cdktn import App, Fn"),
        ("    from cdktf import App", "    from cdktn import App"),
        ("import cdktf", "import cdktn"),
        ("from cdktf_cdktf_provider_aws.vpc import Vpc", "from cdktn_provider_aws.vpc import Vpc"),
        ('BINDINGS = "cdktf_cdktf_provider_aws"', 'BINDINGS = "cdktn_provider_aws"'),
        ("# as cdktf allocates it", "# as cdktf allocates it"),
        ('"cdktf.out"', '"cdktf.out"'),
    ],
)
def test_imports_are_renamed_and_nothing_else(before: str, after: str) -> None:
    assert renamed(before) == after


def test_the_copy_imports_the_fork_only_and_leaves_the_code_alone(tmp_path: Path) -> None:
    before = (ROOT / "stacks" / "scanner_database.py").read_text()
    copy_code(tmp_path / "code")
    copied = [file.read_text() for file in (tmp_path / "code" / "stacks").rglob("*.py")]
    assert [line for text in copied for line in text.splitlines() if re.match(r"\s*(from|import) cdktf", line)] == []
    assert any("from cdktn_provider_aws." in text for text in copied)
    assert (ROOT / "stacks" / "scanner_database.py").read_text() == before


def test_the_fork_is_locked_by_version_and_hash_and_without_an_address() -> None:
    lock = LOCK.read_text()
    packages = re.split(r"\n(?=\S)", lock)
    assert {each.partition("==")[0] for each in packages} >= {"cdktn", "cdktn-provider-aws", "constructs", "jsii"}
    assert all(re.match(r"[\w-]+==[\w.]+ .*\\\n    --hash=sha256:[0-9a-f]{64}", each, re.DOTALL) for each in packages)
    assert "://" not in lock


def write(folder: Path, environment: str, stack: dict[str, Any]) -> None:
    file = folder / "stacks" / environment / "cdk.tf.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(stack))


def test_the_version_that_wrote_it_and_the_folder_of_the_code_are_no_difference(tmp_path: Path) -> None:
    for version, folder in (("0.21.0", "one"), ("0.24.0", "other")):
        metadata = {"version": version, "path": f"{tmp_path}/{folder}/terraform.tfstate"}
        (tmp_path / f"{folder}.json").write_text(json.dumps({"//": {"metadata": metadata}}))
    one, other = (read_stack(tmp_path / f"{name}.json", tmp_path / name) for name in ("one", "other"))
    assert one == other == {"//": {"metadata": {"path": "terraform.tfstate"}}}


def test_a_difference_shows_its_lines_and_no_more_than_can_be_read() -> None:
    one, other = ({"resource": {"a": 1, "same": 2}}, {"resource": {"same": 2, "a": 3}})
    lines = difference(one, other, names=("cdktf", "CDK Terrain"))
    assert lines[:2] == ["--- cdktf", "+++ CDK Terrain"]
    assert [line for line in lines[2:] if line.startswith(("-", "+"))] == ['-    "a": 1,', '+    "a": 3,']
    many = {str(number): number for number in range(1000)}
    assert len(difference(many, {}, names=("cdktf", "CDK Terrain"))) == LONGEST_DIFFERENCE + 1
    assert difference(one, dict(reversed(one.items())), names=("cdktf", "CDK Terrain")) == []


@pytest.mark.parametrize("differs", [False, True])
def test_a_difference_in_one_environment_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, differs: bool
) -> None:
    """The two syntheses are replaced by files."""

    def synthesise(root: Path, output: Path, environments: list[str], **_: str) -> None:
        for environment in environments:
            changed = differs and root != ROOT and environment == "prod"
            write(output, environment, STACK | ({"resource": {"aws_vpc": {}}} if changed else {}))

    monkeypatch.setattr(exit_test, "DIRECTORY", tmp_path / "exit")
    monkeypatch.setattr(exit_test, "install", lambda target: target.mkdir(parents=True))
    monkeypatch.setattr(exit_test, "_synthesise", synthesise)
    assert exit_test.main() == int(differs)
    said = capsys.readouterr().out
    assert "dev: the same JSON, 1 resources" in said
    assert ("prod: DIFFERS" in said) is differs
