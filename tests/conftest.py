"""Fixtures that every folder of tests shares: an embedded PostgreSQL, and fresh databases in it."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from lab.embedded_postgres import ADMIN_USER, DEFAULT_VERSION, EmbeddedPostgres
from scannerdb import terraform
from tests.support.database import BUILD, MIGRATIONS, TestDatabase, build_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from handlers.contract.release import Release

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what must run in one process, in its order: a file, and the one deployment of all acceptance tests.

    First, because pytest-xdist reads the marks in the same hook.
    """
    for item in items:
        folder = item.path.parent
        item.add_marker(pytest.mark.xdist_group(folder.name if folder.name == "acceptance" else str(item.path)))


@pytest.fixture(scope="session")
def provider() -> terraform.Provider:
    """The AWS provider that Terraform installs here; without one the test is skipped."""
    found = terraform.find_provider()
    if isinstance(found, terraform.NoProvider):
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for all tests, of the version that POSTGRES_VERSION names.

    It forgets on a crash of the machine, which no test makes.
    """
    directory = BUILD / f"postgres-{os.getpid()}"
    version = int(os.environ.get("POSTGRES_VERSION", DEFAULT_VERSION))
    # Off by default; a transaction manager that commits in two phases needs it.
    parameters = {"max_prepared_transactions": "16"}
    with EmbeddedPostgres(directory, durable=False, version=version, parameters=parameters) as server:
        yield server
    shutil.rmtree(directory)


def _create_database(server: EmbeddedPostgres, name: str, *, template: str = "template1") -> TestDatabase:
    with server.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" OWNER {ADMIN_USER} TEMPLATE "{template}"')
    return TestDatabase(server, name)


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> TestDatabase:
    """A database that holds nothing."""
    return _create_database(postgres, f"empty_{next(_numbers)}")


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> TestDatabase:
    """The database that `database` is copied from."""
    template = _create_database(postgres, "migrated_template")
    run(template.connect, build_release(MIGRATIONS))
    return template


@pytest.fixture
def database(postgres: EmbeddedPostgres, migrated_template: TestDatabase) -> TestDatabase:
    """A database that all migrations were applied to."""
    return _create_database(postgres, f"migrated_{next(_numbers)}", template=migrated_template.name)


@pytest.fixture
def release_of(tmp_path: Path) -> Callable[..., Release]:
    """Return a function that makes a release of the SQL files given by name."""

    def make(files: dict[str, str]) -> Release:
        folder = tmp_path / f"migrations_{next(_numbers)}"
        folder.mkdir()
        for name, sql in files.items():
            (folder / name).write_text(sql)
        return build_release(folder)

    return make
