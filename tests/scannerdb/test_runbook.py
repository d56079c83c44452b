"""The runbook names what there is, and what it tells to paste waits for its answer."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from scannerdb.main import main
from stacks import ROOT
from stacks.alarms.table import RUNBOOK
from stacks.monitoring.log_queries import log_queries
from stacks.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

TEXT = " ".join(RUNBOOK.read_text().split())
PAGES = [RUNBOOK, *sorted((RUNBOOK.parent / "operations").glob("*.md"))]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_the_runbook_and_the_pages_of_operations_leads_to_a_section(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        target = (page.parent / path).resolve() if path else page
        if target in PAGES:
            assert not anchor or anchor in headings(target), f"{path}#{anchor}"
        else:
            assert target.parent != RUNBOOK.parent / "operations", f"no page {path}"


def test_every_saved_query_that_it_names_is_saved() -> None:
    saved = {query.name for query in log_queries(load_settings(ROOT / "environments" / "prod.toml", {}))}
    named = set(re.findall(r"saved query \*([^*]+)\*", TEXT))
    assert named
    assert named <= saved


# In backticks, or a line of a block.
COMMANDS = sorted(
    {
        found
        for pair in re.findall(r"`([^`\n]+)`|^ *((?:scannerdb|aws) .+)$", RUNBOOK.read_text(), re.MULTILINE)
        for found in pair
    }
)
# What stands in the table of what to use without a checkout.
PLACEHOLDERS = {"FUNCTION": "refresh", "ALARM": "outage", "JSON": "{}", "CHECK": "indexes", "PID": "16530"}


def named(program: str) -> list[str]:
    """Return the commands of a program that have more than its name and a command's."""
    return [command for command in COMMANDS if re.match(rf"{program} \S+ .", command)]


def check_arguments(words: list[str]) -> None:
    """Have click read the arguments of `scannerdb`, those behind a tunnel too."""
    name, *arguments = words[1:]
    command = main.commands[name]
    command.make_context(name, list(arguments))
    if "--" in arguments and "scannerdb" in arguments:
        check_arguments(arguments[arguments.index("scannerdb") :])


@pytest.mark.parametrize("command", named("scannerdb"))
def test_the_command_line_takes_every_argument_that_it_tells_to_paste(command: str) -> None:
    check_arguments(shlex.split(re.sub("|".join(PLACEHOLDERS), lambda found: PLACEHOLDERS[found[0]], command)))


def test_it_tells_how_to_refresh_to_rebuild_and_to_verify_by_the_function_which_is_waited_for() -> None:
    """`scannerdb invoke` waits as long as a function may take, and never asks twice."""
    invoke = "scannerdb invoke refresh -e prod"
    for command in (
        invoke,
        f'{invoke} --payload \'{{"action": "rebuild"}}\'',
        f'{invoke} --payload \'{{"action": "verify"}}\'',
    ):
        assert command in COMMANDS


def test_the_aws_cli_is_told_to_wait_and_not_to_invoke_again() -> None:
    commands = [command for command in named("aws") if command.startswith("aws lambda invoke")]
    assert commands
    assert [command for command in commands if not command.endswith(" --cli-read-timeout 0")] == []


def test_every_page_and_message_names_an_environment_by_the_option() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.yml", "*.toml", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    other = re.compile(
        r"scannerdb (?:tunnel|settings|cost|preflight|review|accept) (?:prod|dev|local|ENV|NAME|\{|\$)[^|\n]*"
    )
    found = [
        (name, match) for name in files if name != "CHANGELOG.md" for match in other.findall((ROOT / name).read_text())
    ]
    assert found == []
