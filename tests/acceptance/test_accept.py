"""`scannerdb accept` of the one deployment: what the emulator does is well, what it lacks is not answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import scannerdb

if TYPE_CHECKING:
    from tests.support.acceptance import Deployed

pytestmark = pytest.mark.deployment


def test_a_fresh_deployment_is_accepted_but_for_what_the_emulator_lacks(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in deployed.deployment.settings_variables().items():
        monkeypatch.setenv(name, value)
    # Without the AWS CLI there is no tunnel.
    scannerdb("accept", "-e", "local", "--json", code=1)
    found = json.loads(capsys.readouterr().out)["findings"]
    by_state = {state: {each["check"] for each in found if each["state"] == state} for state in ("refused", "warning")}
    assert by_state == {"refused": set(), "warning": {"last-run", "metric-math"}}
