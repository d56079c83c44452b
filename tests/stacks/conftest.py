"""Every environment synthesised once, as parsed JSON, and what Terraform needs to read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from scannerdb import terraform
from scannerdb.review.emulator import empty_emulator
from stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ENVIRONMENTS = ("dev", "prod", "local")
API_ID = "${aws_apigatewayv2_api.status_api_api.id}"


@dataclass(frozen=True)
class Synthesised:
    """One environment's stack: its folder and its Terraform JSON."""

    folder: Path
    json: dict[str, Any]

    def every(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type by their name in Terraform."""
        return self.json["resource"].get(kind, {})

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the resource of that type and name, or the only one of the type."""
        if name is not None:
            return self.every(kind)[name]
        (resource,) = self.every(kind).values()
        return resource

    def resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield `type.name` and body of every resource."""
        for kind, named in self.json["resource"].items():
            for name, body in named.items():
                yield f"{kind}.{name}", body

    def text(self) -> str:
        return json.dumps(self.json)


def name_of(stack: Synthesised, alarm: dict[str, Any]) -> str:
    """Return an alarm's name without the deployment's."""
    prefix: str = stack.one("aws_db_instance")["identifier"]
    return str(alarm["alarm_name"]).removeprefix(f"{prefix}-")


def run_main(*environments: str, outdir: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run main.py as `cdktf` does, and return what it wrote to standard error.

    The variables of whoever runs the tests do not get in.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SCANNER_", "CDKTF_"))}
    chosen = {"SCANNER_ENVIRONMENTS": ",".join(environments)} if environments else {}
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=ROOT,
        env=clean | chosen | {"CDKTF_OUTDIR": str(outdir)} | dict(variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stderr


def synthesise_file(file: Path, outdir: Path) -> Synthesised:
    """Synthesise the environment of a settings file, wherever it lies."""
    code = (
        "import sys; from pathlib import Path; from stacks.settings import load_settings\n"
        "from stacks.synthesis import synthesise; synthesise([load_settings(Path(sys.argv[1]), {})], sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file), str(outdir)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return read_stack(outdir, file.stem)


def read_stack(outdir: Path, environment: str) -> Synthesised:
    folder = outdir / "stacks" / environment
    return Synthesised(folder, json.loads((folder / "cdk.tf.json").read_text()))


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesised]:
    """Every environment, as it is deployed."""
    outdir = tmp_path_factory.mktemp("cdktf.out")
    run_main(*ENVIRONMENTS, outdir=outdir)
    return {environment: read_stack(outdir, environment) for environment in ENVIRONMENTS}


@pytest.fixture(params=ENVIRONMENTS)
def stack(request: pytest.FixtureRequest, stacks: dict[str, Synthesised]) -> Synthesised:
    """Each environment in turn."""
    return stacks[request.param]


@pytest.fixture(scope="session")
def prod(stacks: dict[str, Synthesised]) -> Synthesised:
    return stacks["prod"]


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    """A plain moto server: enough for the data sources of a plan."""
    with empty_emulator() as url:
        yield url


@pytest.fixture(scope="session")
def provider() -> terraform.Provider:
    found = terraform.find_provider()
    if isinstance(found, terraform.NoProvider):
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def terraform_environment(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return terraform.command_environment(provider, tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def plannable_stacks(
    provider: terraform.Provider,
    emulator_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Synthesised]:
    """Every environment, changed as little as any provider that can be found here and the emulator need.

    A provider older than 6.25 knows no `default_auth_scheme`, so the proxy authenticates by secret.
    """
    outdir = tmp_path_factory.mktemp("cdktf.out")
    variables = {
        "SCANNER__AWS__ENDPOINT": emulator_url,
        "SCANNER__AWS__PROVIDER_VERSION": ">= 5.100.0, < 7",
        "SCANNER__PROXY__AUTH_MODE": "secrets",
    }
    run_main(*ENVIRONMENTS, outdir=outdir, variables=variables)
    stacks = {environment: read_stack(outdir, environment) for environment in ENVIRONMENTS}
    for stack in stacks.values():
        # The state of a test: Terraform merges override files over the rest.
        backend = {"terraform": {"backend": {"local": {"path": "terraform.tfstate"}}}}
        (stack.folder / "override.tf.json").write_text(json.dumps(backend))
    return stacks
