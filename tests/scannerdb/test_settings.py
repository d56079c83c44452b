"""`scannerdb settings` tells values and origins."""

from __future__ import annotations

import json

import pytest

from scannerdb.main import command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        command(list(arguments))
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_each_setting_comes_with_its_value_and_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANNER__DATABASE__PORT", "5433")
    code, out, _ = run(capsys, "settings", "-e", "prod", "--json")
    settings = json.loads(out)
    assert code == 0
    assert settings["database.port"] == {"value": 5433, "from": "SCANNER__DATABASE__PORT"}
    assert settings["region"] == {"value": "eu-central-1", "from": "environments/prod.toml"}
    assert settings["schedule.refresh_minutes"] == {"value": 1, "from": "size large"}
    assert settings["proxy.auth_mode"] == {"value": "iam", "from": "default"}
    assert settings["release.migrations"] == {"value": "migrations", "from": "default"}


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_no_width_breaks_a_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    url = f"https://example.com/{'runbook/' * 20}"
    monkeypatch.setenv("SCANNER__ALARMS__RUNBOOK_URL", url)
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run(capsys, "settings", "-e", "prod")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines["alarms.runbook_url"] == f"{url}  SCANNER__ALARMS__RUNBOOK_URL"
    assert lines["tags"] == '{"owner": "platform-team"}  environments/prod.toml'
    _, told, _ = run(capsys, "settings", "-e", "prod", "--json")
    assert lines.keys() == {"setting", *json.loads(told)}


def test_the_table_keeps_names_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "settings", "-e", "dev")
    assert code == 0
    assert any(line.split()[:2] == ["database.max_allocated_storage_gib", "100"] for line in out.splitlines())


def test_an_unknown_environment_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run(capsys, "settings", "-e", "production")
    assert code == 2
    assert "environment 'production' is none of dev, local, prod" in error
