"""Synthesises environments, and what tests ask of their Terraform JSON."""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from stacks.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ENVIRONMENTS = ("dev", "prod", "local")
# Makes an environment a cluster.
HUGE = {"SCANNER__SIZE": "huge"}
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

    def needs(self, address: str) -> set[str]:
        """Return the resources that Terraform makes before this one, and deletes after it."""
        bodies, found, open_ = dict(self.resources()), set(), [address]
        while open_:
            body = json.dumps(bodies.get(open_.pop(), {}))
            for name in re.findall(r"\b(aws_\w+\.\w+)", body):
                if name in bodies and name not in found:
                    found.add(name)
                    open_.append(name)
        return found

    def keep_state_in_folder(self) -> None:
        """Override the backend, so that Terraform reaches no bucket."""
        backend = {"terraform": {"backend": {"local": {"path": "terraform.tfstate"}}}}
        (self.folder / "override.tf.json").write_text(json.dumps(backend))

    def text(self) -> str:
        return json.dumps(self.json)


def run_main(*environments: str, outdir: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run main.py, and return what it wrote to standard error.

    In this process: most of a synth is the start of Python and Node.js. The variables of the caller do not get in.
    """
    import main

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SCANNER_", "CDKTF_"))}
    chosen = {"SCANNER_ENVIRONMENTS": ",".join(environments)} if environments else {}
    given = clean | chosen | {"CDKTF_OUTDIR": str(outdir)} | dict(variables or {})
    with mock.patch.dict(os.environ, given, clear=True), redirect_stderr(io.StringIO()) as told:
        status = main.main()
    if status:
        raise RuntimeError(told.getvalue())
    return told.getvalue()


def synthesise_file(file: Path, outdir: Path) -> Synthesised:
    """Synthesise the environment of a settings file, wherever it lies."""
    from stacks.synthesis import synthesise

    synthesise([load_settings(file, {})], str(outdir))
    return read_stack(outdir, file.stem)


def read_stack(outdir: Path, environment: str) -> Synthesised:
    folder = outdir / "stacks" / environment
    return Synthesised(folder, json.loads((folder / "cdk.tf.json").read_text()))


def name_of(stack: Synthesised, alarm: dict[str, Any]) -> str:
    """Return an alarm's name without the deployment's."""
    prefix: str = stack.one("aws_db_instance")["identifier"]
    return str(alarm["alarm_name"]).removeprefix(f"{prefix}-")


def statements(stack: Synthesised, policy: str) -> dict[str, dict[str, Any]]:
    """Return the statements of a role's policy by their names."""
    document = json.loads(stack.one("aws_iam_role_policy", policy)["policy"])
    return {statement["Sid"]: statement for statement in document["Statement"]}
