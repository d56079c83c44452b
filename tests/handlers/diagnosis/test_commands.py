"""Every command that a finding names works where it is printed: with a checkout, without one, inside and outside."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import Any

import botocore.session
import jmespath
import pytest

from handlers.contract.alarms import TOLD
from handlers.contract.alarms.answers import EVENTS_LOOK, INSTANCE_LOOK, PROXY_TARGETS_LOOK, SLOW_STATEMENTS_LOOK
from handlers.contract.databases import RdsDatabase
from handlers.diagnosis import Commands
from scannerdb.main import main
from tests.support.diagnosis import COMMANDS, event_of, words_of

DATABASE = RdsDatabase.parse("instance/scanner-database-dev")
CHECKOUT = Commands(prefix="scanner-database-dev", database=DATABASE)
TUNNEL = Commands(prefix="scanner-database-dev", database=DATABASE, tunnel="scannerdb tunnel -e dev --direct -- ")
ADOPTED = Commands(prefix="scanner-database-dev", database=DATABASE, dsn="host=db.example.com user=o'hara")
EXPORTED = Commands(prefix="scanner-database-dev", database=DATABASE, dsn="")
SESSION = {"pid": 16530, "began": datetime(2026, 11, 27, 3, 12, 1, 42, tzinfo=UTC)}
HOLDER = {"usename": "scanner_app", "application_name": "it's leaky"}
SQL = 'ALTER TABLE public.findings ENABLE TRIGGER "T\'s"'
LOOKS = [
    *(told.look for told in TOLD.values() if told.look),
    *(EVENTS_LOOK, INSTANCE_LOOK, PROXY_TARGETS_LOOK, SLOW_STATEMENTS_LOOK),
]


def all_commands(commands: Commands) -> list[str]:
    return [
        commands.refresh(),
        commands.verify(),
        commands.rebuild(),
        commands.migrate(),
        commands.end(SESSION),
        commands.end(SESSION, cancel=True),
        commands.end_idle(),
        commands.end_idle(HOLDER),
        commands.repair("triggers", SQL),
    ]


def given(command: str) -> tuple[str, dict[str, Any]]:
    """Return the command of `scannerdb` that a line runs, and its parameters as click reads them."""
    program, name, *arguments = shlex.split(command)
    assert program == "scannerdb"
    parameters = main.commands[name].make_context(name, list(arguments)).params
    if name == "tunnel":
        assert (parameters["environment"], parameters["direct"]) == ("dev", True)
        return given(shlex.join(parameters["command"]))
    return name, parameters


@pytest.mark.parametrize(
    "commands", [CHECKOUT, TUNNEL, ADOPTED, EXPORTED], ids=["checkout", "tunnel", "dsn", "exported"]
)
def test_the_command_line_takes_each_command_and_each_names_its_database(commands: Commands) -> None:
    for command in all_commands(commands):
        assert "SCANNERDB_DSN" not in command
        assert "psql" not in command
        name, parameters = given(command)
        if commands.is_deployed:
            assert parameters["environment"] == "dev" or (commands is TUNNEL and name == "migrate")
        else:
            # It may have no functions, and no tunnel; for a repair an environment lends its thresholds.
            assert name in {"refresh", "verify", "rebuild", "migrate", "end", "repair"}
            assert parameters["dsn"] == (commands.dsn or None)
            assert parameters["environment"] == ("dev" if name == "repair" else None)


def test_a_session_is_ended_by_its_pid_and_a_statement_only_where_it_is_enough() -> None:
    assert CHECKOUT.end(SESSION) == "scannerdb end 16530 -e dev"
    assert CHECKOUT.end(SESSION, cancel=True) == "scannerdb end 16530 --cancel -e dev"
    assert given(CHECKOUT.end_idle(HOLDER))[1]["application"] == "it's leaky"
    assert CHECKOUT.repair("triggers", SQL) == "scannerdb repair triggers -e dev"


def test_without_a_checkout_the_aws_cli_sends_the_session_or_the_statement_that_was_seen() -> None:
    assert event_of(COMMANDS.end(SESSION)) == (
        "migrate",
        {"action": "end", "pid": 16530, "began": "2026-11-27T03:12:01.000042+00:00"},
    )
    assert event_of(COMMANDS.end_idle(HOLDER))[1]["application"] == "it's leaky"
    function, event = event_of(COMMANDS.repair("triggers", SQL))
    assert function == "migrate"
    assert event.items() >= {"action": "repair", "check": "triggers", "sql": SQL}.items()
    for command in all_commands(COMMANDS):
        assert words_of(command)[0] == "aws"
        assert command.endswith(" --cli-read-timeout 0")


def test_without_a_checkout_no_command_needs_one() -> None:
    assert COMMANDS.deploy() == ""
    for command in (COMMANDS.mend_proxy(), COMMANDS.grow_disk(100)):
        assert words_of(command)[:2] == ["aws", "rds"]
    assert "--allocated-storage 120 --max-allocated-storage 144" in COMMANDS.grow_disk(100)
    assert CHECKOUT.mend_proxy() == CHECKOUT.grow_disk(100) == "node_modules/.bin/cdktf deploy dev"


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.what)
def test_a_look_is_a_table_of_what_matters(look: Any) -> None:
    words = words_of(COMMANDS.look(look))
    if words[1:3] == ["logs", "tail"]:
        return
    assert words[-2:] == ["--output", "table"]
    query = words[words.index("--query") + 1]
    assert len(columns(words, query)) <= 7


def columns(words: list[str], query: str) -> list[str]:
    """Return the columns of a table. Each must be a member of the answer in the service's own model."""
    service, command = words[1:3]
    model = botocore.session.get_session().get_service_model(service)
    operation = next(name for name in model.operation_names if botocore.xform_name(name, "-") == command)
    shape = model.operation_model(operation).output_shape
    found = jmespath.search(query, sample(shape))
    row = found[0] if isinstance(found, list) else found
    assert row, query
    missing = [name for name, value in row.items() if value is None]
    assert missing == [], f"{operation} answers with no {missing}"
    return list(row)


def sample(shape: Any) -> Any:
    """Return an answer in which each member has a value."""
    match shape.type_name:
        case "structure":
            return {name: sample(member) for name, member in shape.members.items()}
        case "list":
            return [sample(shape.member)]
        case "map":
            return {}
        case "string":
            return "scanner-database-test-"
        case _:
            return 1


def test_an_environment_is_named_in_no_place_that_a_shell_reads_as_something_else() -> None:
    for command in (*all_commands(COMMANDS), *map(COMMANDS.look, LOOKS)):
        assert not re.search(r"\{(prefix|database)", command)
        assert words_of(command)
