"""docs/settings.md says what the models of the settings say."""

from __future__ import annotations

import re

import pytest

from scannerdb.settings_reference import DOCUMENT, settings_reference
from stacks import ROOT
from stacks.settings import resolve_settings

PAGE = settings_reference()


def row(table: str, key: str) -> list[str]:
    """Return the cells behind a key."""
    section = PAGE.partition(f"\n## {table}\n")[2].partition("\n## ")[0]
    (line,) = [line for line in section.splitlines() if line.startswith(f"| `{key}` |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_page_is_what_the_models_say() -> None:
    assert DOCUMENT.read_text() == PAGE, "run: make settings"


def test_every_setting_has_a_row() -> None:
    for name, _, _ in resolve_settings(ROOT / "environments" / "prod.toml", {}):
        if f"\n## `[{name}]`\n" in PAGE:
            continue  # a table that is not set
        table, _, key = name.rpartition(".")
        assert len(row(f"`[{table}]`" if table else "At the top of the file", key)) == 4


@pytest.mark.parametrize(
    ("table", "key", "cells"),
    [
        (
            "`[database]`",
            "multi_az",
            [
                "boolean",
                "true or false",
                "required without a size; small `false`, medium `true`, large `true`",
                "adds or removes the standby in the maintenance window, without a restart",
            ],
        ),
        (
            "`[schedule]`",
            "refresh_minutes",
            ["integer", "a whole number from 1 to 60", "`5`; small `15`, medium `5`, large `1`, huge `1`", "in place"],
        ),
        (
            "At the top of the file",
            "region",
            [
                "string",
                "an AWS region such as eu-central-1; none of GovCloud or China",
                "required",
                "**replaces** everything, the database with its rows too; add an environment instead",
            ],
        ),
    ],
)
def test_a_row_gives_type_allowed_values_default_by_size_and_the_effect_of_a_change(
    table: str, key: str, cells: list[str]
) -> None:
    assert row(table, key) == cells


@pytest.mark.parametrize("key", ["engine_version", "instance_class", "ca_certificate", "port"])
def test_what_the_review_of_a_plan_calls_a_restart_is_one_here(key: str) -> None:
    assert "restart" in row("`[database]`", key)[3]


def test_an_optional_table_says_what_its_absence_means() -> None:
    assert "Allowed: a table; none: shared with the account." in PAGE


def test_the_maintenance_window_is_that_of_the_database() -> None:
    # Read, not imported: the module imports the provider's bindings, which takes a minute.
    source = (ROOT / "stacks" / "database" / "database.py").read_text()
    (window,) = re.findall(r'^MAINTENANCE_WINDOW = "(.+)"$', source, flags=re.MULTILINE)
    assert f"`{window}`" in PAGE
