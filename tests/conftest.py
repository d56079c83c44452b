"""Fixtures that folders of tests share: synthesised environments, an embedded PostgreSQL, fresh databases in it."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from lab.embedded_postgres import DEFAULT_VERSION, EmbeddedPostgres
from scannerdb import terraform
from tests.support.database import MIGRATIONS, Databases, TestDatabase, build_release, server_folder
from tests.support.processes import made_once
from tests.support.synthesis import ENVIRONMENTS, Synthesised, read_stack, run_main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from handlers.contract.release import Release

LONGEST_FIRST = ("deployment", "slow")
# A third of the CPU time of a process without it.
NICENESS = 5
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what must run in one process, in its order: a file, and the one deployment of all acceptance tests.

    What waits and what works long comes first, so that the rest fills the gaps; of these what has most tests. Before
    other hooks, because pytest-xdist reads the marks in the same one.
    """
    length: dict[str, int] = {}
    tests: Counter[str] = Counter()
    for item in items:
        folder = item.path.parent
        group = folder.name if folder.name == "acceptance" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        marks = [mark for mark in LONGEST_FIRST if item.get_closest_marker(mark)]
        length[group] = min(length.get(group, len(LONGEST_FIRST)), *map(LONGEST_FIRST.index, marks), len(LONGEST_FIRST))
        tests[group] += 1

    def order(item: pytest.Item) -> tuple[int, int, str]:
        group = item.get_closest_marker("xdist_group").args[0]
        return length[group], -tests[group], group

    items.sort(key=order)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to deployments: they wait for minutes in between, and the longest of them decides when all is done."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("deployment"):
        os.nice(max(0, NICENESS - os.nice(0)))


@pytest.fixture(scope="session")
def provider() -> terraform.Provider:
    """The AWS provider that Terraform installs here; without one the test is skipped."""
    found = terraform.find_provider()
    if isinstance(found, terraform.NoProvider):
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesised]:
    """Every environment, as it is deployed; only to be read, for the other processes of this run read it too."""
    outdir = made_once(tmp_path_factory, "cdktf.out", lambda folder: run_main(*ENVIRONMENTS, outdir=folder))
    return {environment: read_stack(outdir, environment) for environment in ENVIRONMENTS}


@pytest.fixture(scope="session")
def prod(stacks: dict[str, Synthesised]) -> Synthesised:
    return stacks["prod"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for all tests, of the version that POSTGRES_VERSION names.

    It forgets on a crash of the machine, which no test makes.
    """
    version = int(os.environ.get("POSTGRES_VERSION", DEFAULT_VERSION))
    # What the tests write is small; the logs of their writes may use 1 GB each. Prepared transactions are off by
    # default; a transaction manager that commits in two phases needs them.
    parameters = {"max_wal_size": "128MB", "min_wal_size": "32MB", "max_prepared_transactions": "16"}
    with EmbeddedPostgres(server_folder(), durable=False, parameters=parameters, version=version) as server:
        yield server
        server.discard()


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Databases:
    return Databases(postgres)


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[TestDatabase]:
    """A database that holds nothing."""
    with databases.created("empty") as database:
        yield database


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> Iterator[TestDatabase]:
    """The database that `database` is copied from."""
    with databases.created("template") as template:
        run(template.connect, build_release(MIGRATIONS))
        yield template


@pytest.fixture
def database(databases: Databases, migrated_template: TestDatabase) -> Iterator[TestDatabase]:
    """A database that all migrations were applied to."""
    with databases.created("migrated", template=migrated_template.name) as database:
        yield database


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
