"""The parameters of a server that its owner sets: what breaks us is refused, what is expected otherwise is a note."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from handlers.contract.parameters import ExpectedParameters
from handlers.errors import UnfitDatabaseError
from handlers.migrator import parameters
from handlers.migrator.runner import run
from handlers.migrator.steps import migration_plan
from stacks.database.parameters import expected_parameters
from stacks.settings import load_settings
from tests.support.database import MIGRATIONS, build_release
from tests.support.diagnosis import diagnose, only
from tests.support.existing_instance import IDENTIFIER, around_existing
from tests.support.migrating import migrate

if TYPE_CHECKING:
    from pathlib import Path

    from handlers.migrator.examination import ExaminationFinding
    from tests.support.database import TestDatabase

EXPECTED = ExpectedParameters(
    identifier=IDENTIFIER,
    values={"log_min_duration_statement": "500", "track_io_timing": "0", "shared_preload_libraries": "auto_explain"},
    at_restart=("shared_preload_libraries",),
)


def notes(database: TestDatabase, expected: ExpectedParameters | None) -> dict[str, ExaminationFinding]:
    found = migration_plan(build_release(MIGRATIONS), database.connect, expected=expected).findings
    return {each.subject.removeprefix("the parameter "): each for each in found if each.check == "parameters"}


def row(name: str, value: str, vartype: str = "string") -> dict[str, str]:
    return {"name": name, "value": value, "vartype": vartype}


@pytest.mark.parametrize("name", ["track_counts", "track_activities"])
def test_what_must_be_on_is_refused_when_it_is_off(empty_database: TestDatabase, name: str) -> None:
    empty_database.query(f"ALTER DATABASE {empty_database.name} SET {name} = off", user="postgres")
    with pytest.raises(UnfitDatabaseError, match=f"the parameter {name}: off, not on"):
        migrate(empty_database)
    empty_database.query(f"ALTER DATABASE {empty_database.name} RESET {name}", user="postgres")
    migrate(empty_database)


def test_the_reason_and_the_command_go_with_a_refusal(empty_database: TestDatabase) -> None:
    name = empty_database.name
    empty_database.query(f"ALTER DATABASE {name} SET track_counts = off", user="postgres")
    for expected, way_out in (
        (None, "Who runs the server can set"),
        (EXPECTED, f"--db-instance-identifier {IDENTIFIER}"),
    ):
        (refusing,) = [
            each
            for each in migration_plan(build_release(MIGRATIONS), empty_database.connect, expected=expected).findings
            if each.refuses
        ]
        assert "vacuums nothing" in refusing.why
        assert way_out in refusing.way_out


def test_nothing_is_noted_where_nothing_is_expected(empty_database: TestDatabase) -> None:
    assert notes(empty_database, None) == {}


def test_what_differs_is_noted_with_its_reason_and_command_and_migrate_goes_on(empty_database: TestDatabase) -> None:
    empty_database.query(f"ALTER DATABASE {empty_database.name} SET log_min_duration_statement = 250", user="postgres")
    found = notes(empty_database, EXPECTED)["log_min_duration_statement"]
    assert (found.value, found.refuses) == ("250, not 500", False)
    assert "slow-queries" in found.why
    said: list[str] = []
    run(
        empty_database.connect, build_release(MIGRATIONS), report=lambda text, **_: said.append(text), expected=EXPECTED
    )
    assert [line for line in said if line.startswith("found the parameter log_min_duration_statement: 250, not 500")]
    empty_database.query(f"ALTER DATABASE {empty_database.name} SET log_min_duration_statement = 500", user="postgres")
    assert "log_min_duration_statement" not in notes(empty_database, EXPECTED)


def test_a_command_sets_the_parameter_in_the_group_of_the_instance() -> None:
    wanted = [parameters.Difference(name="log_lock_waits", found="off", wanted="1")]
    words = shlex.split(parameters.way_out(wanted, EXPECTED))
    assert words[:5] == ["aws", "rds", "modify-db-parameter-group", "--db-parameter-group-name", words[4]]
    assert f"--db-instance-identifier {IDENTIFIER}" in words[4]
    assert words[-2:] == ["--parameters", "ParameterName=log_lock_waits,ParameterValue='1',ApplyMethod=immediate"]


def test_a_parameter_that_is_read_at_the_start_comes_with_the_restart_and_keeps_the_libraries_of_others() -> None:
    (found,) = parameters.differences(lambda *_: [row("shared_preload_libraries", "pgaudit")], EXPECTED)
    assert found.wanted == "pgaudit,auto_explain"
    told = parameters.way_out([found], EXPECTED)
    assert "ParameterValue='pgaudit,auto_explain',ApplyMethod=pending-reboot" in told
    assert told.endswith(f"aws rds reboot-db-instance --db-instance-identifier {IDENTIFIER}")


@pytest.mark.parametrize(
    ("found", "expected", "differs"),
    [
        (row("track_io_timing", "on", "bool"), "1", False),
        (row("track_io_timing", "off", "bool"), "1", True),
        (row("random_page_cost", "1.10", "real"), "1.1", False),
        (row("log_statement", "all", "enum"), "ddl", False),
        (row("log_statement", "none", "enum"), "ddl", True),
        (row("log_connections", "authentication"), "1", False),
        (row("log_connections", ""), "1", True),
        (row("log_line_prefix", "%m:%r:%u@%d:[%p]:"), "%t:%r:%u@%d:[%p]:", False),
        (row("log_line_prefix", "%t:%r:%u@%d:[%p]:%l:%e:%s:"), "%t:%r:%u@%d:[%p]:", True),
        (row("shared_preload_libraries", "rdsutils, pg_stat_statements"), "pg_stat_statements", False),
    ],
)
def test_a_value_is_compared_by_what_it_means(found: dict[str, str], expected: str, *, differs: bool) -> None:
    wanted = ExpectedParameters(identifier=IDENTIFIER, values={found["name"]: expected})
    assert bool(parameters.differences(lambda *_: [found], wanted)) is differs


def test_the_number_of_connections_is_a_setting_because_the_owner_chose_it() -> None:
    wanted = ExpectedParameters(identifier=IDENTIFIER, values={"max_connections": "200"})
    found = parameters.differences(lambda *_: [row("max_connections", "189", "integer")], wanted)
    assert parameters.way_out(found, wanted) == "database.max_connections = 189 in the settings"


def test_every_parameter_that_a_deployment_expects_has_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "shared.toml"
    file.write_text(around_existing("max_connections = 321"))
    expected = expected_parameters(load_settings(file, {}))
    assert expected is not None
    assert expected.values.keys() == parameters.WHY.keys()
    assert expected.values["max_connections"] == "321"
    assert ExpectedParameters.parse(str(expected)) == expected


def test_the_doctor_repeats_what_migrate_noted(database: TestDatabase) -> None:
    def found(**arguments: Any) -> tuple[str, str, str]:
        return only(diagnose(database, "parameters", **arguments))

    assert found()[:2] == ("ok", "not compared: the parameter group of the deployment sets them")
    wanted = ExpectedParameters(identifier=IDENTIFIER, values={"log_min_duration_statement": "500"})
    database.query(f"ALTER DATABASE {database.name} SET log_min_duration_statement = 250", user="postgres")
    state, value, next_ = found(expected=wanted)
    assert (state, value) == ("warning", "log_min_duration_statement is 250, not 500")
    assert re.match(r"aws rds modify-db-parameter-group .*ParameterName=log_min_duration_statement", next_)
    database.query(f"ALTER DATABASE {database.name} SET log_min_duration_statement = 500", user="postgres")
    assert found(expected=wanted)[0] == "ok"


def test_what_a_role_has_of_its_own_is_not_the_server_s(database: TestDatabase) -> None:
    database.query(
        f"ALTER ROLE scanner_doctor IN DATABASE {database.name} SET log_min_duration_statement = 7", user="postgres"
    )
    wanted = ExpectedParameters(identifier=IDENTIFIER, values={"log_min_duration_statement": "500"})
    assert only(diagnose(database, "parameters", expected=wanted))[0] == "ok"
