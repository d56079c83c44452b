"""The workflows run what they name, write as little as they may, and their scripts do what they say."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from stacks import ROOT
from stacks.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
ACTIONS = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "actions").glob("*/action.yml")
}
STEPS = [
    *(
        (f"{name}: {job}", step)
        for name, flow in WORKFLOWS.items()
        for job in flow["jobs"]
        for step in flow["jobs"][job]["steps"]
    ),
    *((name, step) for name, action in ACTIONS.items() for step in action["runs"]["steps"]),
]
SCRIPTS = [(where, step["run"]) for where, step in STEPS if "run" in step]

# Every call is written down; a comment or an issue is there when its file is.
FAKE_GH = """#!/usr/bin/env bash
set -e
printf '%s\\n' "$*" >> calls
case "$*" in
  *--paginate*|"issue list"*) if [ -f found ]; then cat found; fi ;;
esac
"""
# More than a pipe holds: a reader that ends after the first line would end the writer with SIGPIPE.
MANY = "\n".join(["4711", *map(str, range(100_000))]) + "\n"


def step(workflow: str, job: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in WORKFLOWS[workflow]["jobs"][job]["steps"] if each.get("name") == name)
    return found


def run(script: str, folder: Path, **variables: str) -> list[str]:
    """Run a step as a runner does, with a `gh` that writes down how it was called."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(FAKE_GH)
    (tools / "gh").chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", **variables}
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder, env=environment, check=True
    )
    calls = folder / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_do_nothing_that_a_job_does_not_ask_for(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert "concurrency" in WORKFLOWS[name]
    for job in WORKFLOWS[name]["jobs"].values():
        assert "permissions" in job
        assert job["timeout-minutes"] <= 90


def test_no_job_both_runs_the_repository_and_may_write() -> None:
    for flow in WORKFLOWS.values():
        for job in flow["jobs"].values():
            uses = [each.get("uses", "") for each in job["steps"]]
            if any(used.startswith(("actions/checkout@", "./")) for used in uses):
                assert set(job["permissions"]) <= {"contents", "id-token"}
                assert job["permissions"].get("contents") == "read"


def test_only_what_is_meant_to_write_may_write() -> None:
    writing = {
        (name, job): permission
        for name, flow in WORKFLOWS.items()
        for job, body in flow["jobs"].items()
        for permission, access in body["permissions"].items()
        if access == "write" and permission != "id-token"
    }
    assert writing == {("plan", "comment"): "pull-requests", ("drift", "report"): "issues"}


def test_every_action_of_others_is_pinned_to_a_commit_whose_version_a_comment_names() -> None:
    lines = [
        line
        for path in (ROOT / ".github").rglob("*.yml")
        for line in path.read_text().splitlines()
        if "uses: " in line and "uses: ./" not in line
    ]
    assert len(lines) > 10
    for line in lines:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_one_action_has_one_version_everywhere() -> None:
    pinned = {each["uses"].partition("@")[::2] for _, each in STEPS if "@" in each.get("uses", "")}
    names = [name for name, _ in ((name, commit) for name, commit in pinned)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("where", "script"), SCRIPTS)
def test_a_script_takes_what_others_wrote_from_variables_only(where: str, script: str) -> None:
    assert "${{" not in script, where
    subprocess.run(["bash", "-n", "-c", script], check=True)


def test_every_make_target_and_option_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    options = (ROOT / "scannerdb" / "review" / "command.py").read_text()
    for where, script in SCRIPTS:
        for target in re.findall(r"^make ([\w-]+)", script, re.MULTILINE):
            assert f"\n{target}:" in makefile, where
        for line in re.findall(r"scannerdb review (.*)", script):
            for option in re.findall(r"--[a-z-]+", line):
                assert f'"{option}"' in options, where


def test_environments_in_the_cloud_keep_their_state_in_a_bucket() -> None:
    for environment in WORKFLOWS["plan"]["jobs"]["plan"]["strategy"]["matrix"]["environment"]:
        assert load_settings(ROOT / "environments" / f"{environment}.toml", {}).state.bucket


def test_only_the_approved_job_sees_a_secret() -> None:
    for flow in WORKFLOWS.values():
        for job in flow["jobs"].values():
            if "secrets." in str(job):
                assert job["environment"] == "prod"


@pytest.mark.parametrize("there", ["", "4711\n", MANY], ids=["none", "one", "many"])
def test_the_comment_is_made_once_and_changed_from_then_on(tmp_path: Path, there: str) -> None:
    (tmp_path / "summaries" / "summary-prod").mkdir(parents=True)
    (tmp_path / "summaries" / "summary-prod" / "summary.md").write_text("<!-- plan-review:prod -->\n## green\n")
    if there:
        (tmp_path / "found").write_text(there)
    script = step("plan", "comment", "Comment, or change the comment that is there")["run"]
    *_, last = run(script, tmp_path, REPOSITORY="a/b", NUMBER="7")
    made, changed = "--method POST repos/a/b/issues/7/comments", "--method PATCH repos/a/b/issues/comments/4711"
    assert (changed if there else made) in last


@pytest.mark.parametrize(
    ("result", "there", "does"),
    [
        ("failure", "", "issue create --title prod differs from main --label drift --body-file summary.md"),
        ("failure", "12\n", "issue edit 12 --body-file summary.md"),
        ("success", "12\n", "issue close 12 --comment The plan is empty again: https://run"),
        ("success", "", "issue list"),
        ("failure", MANY, "issue edit 4711"),
    ],
    ids=["differs", "differs still", "is equal again", "is equal still", "differs, with many issues"],
)
def test_drift_opens_one_issue_and_its_end_closes_it(tmp_path: Path, result: str, does: str, there: str) -> None:
    if there:
        (tmp_path / "found").write_text(there)
    report = step("drift", "report", "Open the issue, change it, or close it")
    *_, last = run(report["run"], tmp_path, RESULT=result, RUN="https://run", TITLE=report["env"]["TITLE"])
    assert last.startswith(does)


def test_a_saved_plan_can_be_read_with_the_key_alone_and_not_when_it_was_changed(tmp_path: Path) -> None:
    stack = tmp_path / "build" / "plan" / "stacks" / "prod"
    (stack / ".terraform").mkdir(parents=True)
    (stack / "plan.tfplan").write_text("all of the state in clear text")
    make_key = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=plans -keyout key.pem -out certificate.pem"
    subprocess.run(make_key.split(), cwd=tmp_path, check=True, capture_output=True)
    (encrypt,) = (each["run"] for each in ACTIONS["save_plan"]["runs"]["steps"] if "run" in each)
    output = tmp_path / "output"
    certificate = (tmp_path / "certificate.pem").read_text()
    run(encrypt, tmp_path, ENVIRONMENT="prod", CERTIFICATE=certificate, GITHUB_OUTPUT=str(output))
    sha256 = output.read_text().strip().removeprefix("sha256=")
    encrypted = tmp_path / "plan.cms"
    assert b"clear text" not in encrypted.read_bytes()

    decrypt = step("deploy", "apply", "Decrypt the plan")["run"]
    key = {"PLAN_KEY": (tmp_path / "key.pem").read_text(), "SHA256": sha256}
    run(decrypt, tmp_path, **key)
    assert (tmp_path / "stack" / "plan.tfplan").read_text() == "all of the state in clear text"
    assert not (tmp_path / "stack" / ".terraform").exists()

    # Encrypting needs no secret: another plan than the one that was agreed to, and one that was damaged, are refused.
    with pytest.raises(subprocess.CalledProcessError):
        run(f"rm -r stack\n{decrypt}", tmp_path, **key | {"SHA256": "0" * 64})
    damaged = bytearray(encrypted.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    encrypted.write_bytes(damaged)
    with pytest.raises(subprocess.CalledProcessError):
        run(decrypt, tmp_path, **key | {"SHA256": hashlib.sha256(damaged).hexdigest()})


def test_without_a_certificate_no_plan_is_saved(tmp_path: Path) -> None:
    (encrypt,) = (each["run"] for each in ACTIONS["save_plan"]["runs"]["steps"] if "run" in each)
    with pytest.raises(subprocess.CalledProcessError):
        run(encrypt, tmp_path, ENVIRONMENT="prod", CERTIFICATE="", GITHUB_OUTPUT=os.devnull)
