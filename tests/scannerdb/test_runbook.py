"""The runbook names what there is, and what it tells to paste waits for its answer."""

from __future__ import annotations

import re

import pytest

from stacks import ROOT
from stacks.alarms.table import RUNBOOK
from stacks.monitoring.log_queries import log_queries
from stacks.settings import load_settings

TEXT = " ".join(RUNBOOK.read_text().split())


def test_every_link_leads_to_a_section() -> None:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    sections = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= sections


def test_every_saved_query_that_it_names_is_saved() -> None:
    saved = {query.name for query in log_queries(load_settings(ROOT / "environments" / "prod.toml", {}))}
    named = set(re.findall(r"saved query \*([^*]+)\*", TEXT))
    assert named
    assert named <= saved


@pytest.mark.parametrize("action", ["{}", '{"action": "rebuild"}', '{"action": "verify"}'])
def test_what_may_take_minutes_is_waited_for_and_not_invoked_again(action: str) -> None:
    commands = re.findall(r"`(aws lambda invoke --function-name <prefix>-refresh [^`]*)`", TEXT)
    assert any(f"--payload '{action}'" in command for command in commands)
    assert [command for command in commands if not command.endswith(" --cli-read-timeout 0")] == []
