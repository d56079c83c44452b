"""Only the provider classes that are named load, in Python and in the Node process behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stacks import ROOT, lazy_bindings

if TYPE_CHECKING:
    from pathlib import Path

# Counts, when the process ends, the files of the provider that it loaded.
COUNT_IN_NODE = """
process.on("exit", () => {
  const loaded = Object.keys(require.cache).filter((name) => name.includes("provider-aws"));
  if (loaded.length) require("fs").writeFileSync(process.env.COUNT_FILE, String(loaded.length));
});
"""
USE_ONE_CLASS = """
import json, sys
from stacks import lazy_bindings
lazy_bindings.install()
from cdktf import App, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider
from cdktf_cdktf_provider_aws.vpc import Vpc
import cdktf_cdktf_provider_aws.subnet

app = App(outdir=sys.argv[1])
stack = TerraformStack(app, "one")
AwsProvider(stack, "aws", region="eu-central-1")
Vpc(stack, "vpc", cidr_block="10.0.0.0/16")
app.synth()
names = [name for name in sys.modules if name.startswith("cdktf_cdktf_provider_aws")]
# `publication` keeps a private copy of each.
print(json.dumps([name for name in names if not name.endswith("._private")]))
"""


def python(code: str, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], int]:
    """Return the output folder, the Python modules, and the number of JavaScript files of one small synthesis."""
    folder = tmp_path_factory.mktemp("lazy bindings")  # the space is on purpose
    counter = folder / "count.js"
    counter.write_text(COUNT_IN_NODE)
    modules = python(
        USE_ONE_CLASS, str(folder), NODE_OPTIONS=f'--require "{counter}"', COUNT_FILE=str(folder / "count")
    )
    return folder, json.loads(modules), int((folder / "count").read_text())


def test_python_loads_the_named_submodules_only(used: tuple[Path, list[str], int]) -> None:
    package = "cdktf_cdktf_provider_aws"
    assert sorted(used[1]) == [package, *(f"{package}.{name}" for name in ("_jsii", "provider", "subnet", "vpc"))]


def test_node_loads_the_used_classes_only(used: tuple[Path, list[str], int]) -> None:
    # Index, provider and VPC in a few files each, out of more than a thousand.
    assert used[2] < 20


def test_what_is_synthesised_is_complete(used: tuple[Path, list[str], int]) -> None:
    synthesised = json.loads((used[0] / "stacks" / "one" / "cdk.tf.json").read_text())
    assert [body["cidr_block"] for body in synthesised["resource"]["aws_vpc"].values()] == ["10.0.0.0/16"]


def test_the_settings_need_no_binding() -> None:
    code = "import sys, stacks.settings, stacks.assets.package; print('cdktf' in sys.modules)"
    assert python(code) == "False\n"


def test_a_package_that_was_imported_before_is_left_alone() -> None:
    code = (
        "import sys, types; module = types.ModuleType('cdktf_cdktf_provider_aws')\n"
        "sys.modules['cdktf_cdktf_provider_aws'] = module\n"
        "from stacks import lazy_bindings; lazy_bindings.install(); "
        "print(sys.modules['cdktf_cdktf_provider_aws'] is module)"
    )
    assert python(code) == "True\n"


@pytest.mark.parametrize(
    ("package", "export"),
    [
        ("@cdktf/provider-aws", 'exports.vpc = require("./vpc");'),
        # CDK Terrain's index, to which the exit is open (decision 1).
        ("@cdktn/provider-aws", 'exports.vpc = __importStar(require("./vpc"));'),
    ],
)
def test_the_index_of_either_form_waits_until_a_class_is_asked_for(tmp_path: Path, package: str, export: str) -> None:
    library = tmp_path / "node_modules" / package / "lib"
    library.mkdir(parents=True)
    helper = "var __importStar = (module) => ({ ...module, starred: true });\n" if "__importStar" in export else ""
    (library / "index.js").write_text(f'"use strict";\n{helper}{export}\n')
    (library / "vpc.js").write_text('console.log("loaded"); exports.Vpc = "Vpc";\n')
    use = f'const {{ vpc }} = (aws = require("{package}/lib/index.js"), console.log("index"), aws); '
    use += "console.log(vpc.Vpc, vpc.starred);"
    said = subprocess.run(
        ["node", "--require", str(lazy_bindings.NODE_HOOK), "-e", use],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.splitlines() == ["index", "loaded", f"Vpc {'true' if helper else 'undefined'}"]
