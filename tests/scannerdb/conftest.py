"""Fixtures of the command line: the environment `local` as if deployed, an emulated AWS, and an `aws` on PATH."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from lab.emulator.server import Emulator
from tests.support import fake_aws_cli
from tests.support.deployed import BASTION, PREFIX, Deployed
from tests.support.processes import made_once
from tests.support.synthesis import HUGE, read_stack, run_main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.database import TestDatabase
    from tests.support.synthesis import Synthesised


@pytest.fixture
def deployed(database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The environment `local`, as if it was deployed with this database."""
    server = database.server
    for name in [name for name in os.environ if name.startswith(("SCANNERDB_", "RDS_", "PG", "SCANNER__"))]:
        monkeypatch.delenv(name)
    # An emulator gets credentials that are none; signing a login token with them takes no network.
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("SCANNER__STATE__PATH", str(tmp_path / "terraform.tfstate"))
    monkeypatch.setenv("SCANNER__FUNCTIONS__CA_BUNDLE", str(server.certificate_authority))
    monkeypatch.setenv("SCANNER__DATABASE__NAME", database.name)
    deployment = Deployed(tmp_path / "terraform.tfstate", database)
    deployment.say(
        proxy_endpoint="localhost",
        database_endpoint="localhost",
        database_port=str(server.port),
        proxy_port=str(server.port),
        bastion_instance_id=BASTION,
    )
    return deployment


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """The environment `prod` as a cluster; only to be read."""
    outdir = made_once(
        tmp_path_factory, "prod-as-a-cluster", lambda folder: run_main("prod", outdir=folder, variables=HUGE)
    )
    return read_stack(outdir, "prod")


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator, with a database whose master password RDS keeps."""
    with Emulator(
        tmp_path_factory.mktemp("emulator"), region="eu-central-1", database_password="set by a test"
    ) as running:
        running.client("rds").create_db_instance(
            DBInstanceIdentifier=PREFIX,
            Engine="postgres",
            DBInstanceClass="db.t4g.small",
            AllocatedStorage=20,
            MasterUsername="scanner_admin",
            ManageMasterUserPassword=True,
        )
        yield running


@pytest.fixture
def fake_aws(deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an `aws` on PATH that forwards to the embedded PostgreSQL (see support/fake_aws_cli.py); return its log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {"aws": f'exec "{sys.executable}" "{fake_aws_cli.__file__}" "$@"', "session-manager-plugin": "exit 0"}
    for name, line in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    log = tmp_path / "aws.log"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_AWS_TARGET_PORT", str(deployed.database.server.port))
    monkeypatch.setenv("FAKE_AWS_LOG", str(log))
    return log
