"""A plan is red, with the reason, when data would be lost without agreement; all else is only reported."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from scannerdb.review import command
from scannerdb.review.allowed import FOLDER, load_allowed
from scannerdb.review.changes import Action, read_changes
from scannerdb.review.policy import Finding, Policy, check_policy
from scannerdb.review.protected import LOST_WITH
from scannerdb.review.terraform_errors import PlanningError, explain
from stacks import ROOT
from stacks.settings import environment_files
from tests.support.terraform_plans import DATABASE, REPLACE, TODAY, allowing, judge, plan, resource

if TYPE_CHECKING:
    from pathlib import Path

YESTERDAY = TODAY - dt.timedelta(days=1)
REPLACED = resource(
    DATABASE, REPLACE, before={"db_name": "old"}, after={"db_name": "scanner_db"}, forcing=[["db_name"]]
)


@pytest.mark.parametrize("kind", sorted(LOST_WITH))
@pytest.mark.parametrize(
    ("actions", "done"),
    [
        (("delete", "create"), "replaced"),
        (("create", "delete"), "replaced"),
        (("create", "forget"), "replaced"),
        (("delete",), "destroyed"),
    ],
)
def test_what_holds_data_is_not_replaced_or_destroyed(kind: str, actions: tuple[str, ...], done: str) -> None:
    (problem,) = judge(resource(f"{kind}.it", actions)).problems
    assert problem == f"{kind}.it would be {done}: {LOST_WITH[kind]} would be lost"


CLUSTER = "aws_rds_cluster.database_cluster"


@pytest.mark.parametrize(("gone", "new"), [(DATABASE, CLUSTER), (CLUSTER, DATABASE)])
def test_another_engine_is_red_and_says_how_the_rows_move_to_the_empty_database(gone: str, new: str) -> None:
    (problem,) = judge(resource(gone, ("delete",)), resource(new, ("create",))).problems
    assert problem == (
        f"{gone} would be destroyed: the database with all its rows would be lost; {new} begins empty, because "
        "database.engine changes: move the rows first, as in docs/operations/cluster.md"
    )
    assert (ROOT / "docs" / "operations" / "cluster.md").exists()


def test_another_engine_that_was_agreed_to_is_not_red() -> None:
    changes = resource(DATABASE, ("delete",)), resource(CLUSTER, ("create",))
    assert judge(*changes, allowed=allowing(action="destroy")).problems == []


@pytest.mark.parametrize("actions", [("no-op",), ("create",), ("update",), ("read",), ("forget",)])
def test_what_holds_data_may_be_made_changed_moved_and_left_alone(actions: tuple[str, ...]) -> None:
    assert judge(resource(DATABASE, actions, previous_address="aws_db_instance.old")).problems == []


SECOND = "aws_db_instance.database_2_instance"


@pytest.mark.parametrize(
    "source", [{"snapshot_identifier": "s"}, {"restore_to_point_in_time": [{"restore_time": "t"}]}]
)
def test_a_database_may_be_left_for_one_that_is_restored(source: dict[str, Any]) -> None:
    made = resource(SECOND, ("create",), after=source)
    assert judge(resource(DATABASE, ("forget",)), made).problems == []


def test_a_database_is_not_left_for_an_empty_one() -> None:
    changes = (resource(DATABASE, ("forget",)), resource(SECOND, ("create",), after={"db_name": "scanner_db"}))
    (problem,) = judge(*changes).problems
    assert problem == (
        f"{DATABASE} would be left for a new and empty database (set database.restore_from): "
        "the database with all its rows would be lost"
    )
    assert judge(*changes, allowed=allowing(action="forget")).problems == []


def test_what_can_be_made_again_may_be_replaced() -> None:
    assert judge(resource("aws_security_group.it", REPLACE)).problems == []


def test_the_attribute_that_forces_the_replacement_is_named() -> None:
    (problem,) = judge(REPLACED).problems
    assert problem.startswith(f"{DATABASE} would be replaced because of db_name: ")
    (change,) = read_changes(plan(REPLACED))
    (difference,) = change.differences()
    assert (difference.before, difference.after, difference.forces_replacement) == ("old", "scanner_db", True)


def test_a_path_into_a_list_is_named_as_people_write_it() -> None:
    (change,) = read_changes(plan(resource(DATABASE, REPLACE, forcing=[["s3_import", 0, "bucket_name"]])))
    assert change.forcing == ("s3_import[0].bucket_name",)


def test_an_old_object_left_behind_by_a_replacement_is_protected_too() -> None:
    (problem,) = judge(resource(DATABASE, ("delete",), deposed="8f2c")).problems
    assert problem.startswith(f"{DATABASE} (deposed object 8f2c) would be destroyed")


def test_an_agreed_loss_is_allowed_to_the_end_of_its_last_day() -> None:
    agreed = judge(REPLACED, allowed=allowing())
    assert agreed.problems == []
    assert agreed.notes == ()


@pytest.mark.parametrize(
    "entry",
    [allowing(expires=YESTERDAY), allowing(action="destroy"), allowing(address="aws_db_instance.other")],
    ids=["expired", "another action", "another address"],
)
def test_what_agrees_to_something_else_allows_nothing_and_is_reported(entry: dict[str, Any]) -> None:
    refused = judge(REPLACED, allowed=entry)
    assert len(refused.problems) == 1
    assert len(refused.notes) == 1


def test_an_expired_entry_is_named_in_the_problem() -> None:
    (problem,) = judge(REPLACED, allowed=allowing(expires=YESTERDAY)).problems
    assert problem.endswith("the entry that allowed it expired on 2026-11-23")


def test_an_entry_that_counts_wins_over_one_that_was_forgotten() -> None:
    both = {"change": allowing(expires=YESTERDAY)["change"] + allowing()["change"]}
    assert judge(REPLACED, allowed=both).problems == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[change]]", "entry 1 address: Field required"),
        ("[[chnge]]", "chnge: Extra inputs are not permitted"),
        ("[[policy", "is not TOML"),
        (
            '[[change]]\naddress = "aws_vpc.it"\naction = "destroy"\nreason = "we are moving"\nexpires = 2027-11-24',
            "allowed until 2027-11-24; at most 31 days ahead, which is 2026-12-25",
        ),
    ],
)
def test_a_mistake_in_the_allow_list_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "prod.toml").write_text(text)
    with pytest.raises(PlanningError) as told:
        load_allowed("prod", today=TODAY, folder=tmp_path)
    assert str(tmp_path / "prod.toml") in str(told.value)
    assert message in str(told.value)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_each_allow_list_is_of_an_environment_and_right(file: Path) -> None:
    assert file.stem in environment_files(FOLDER.parent)
    load_allowed(file.stem, today=dt.datetime.now(dt.UTC).date())


def test_a_policy_that_fails_is_red_unless_the_environment_leaves_it_out() -> None:
    finding = Finding(check="CKV_AWS_157", resource=DATABASE, title="Multi-AZ")
    policy = Policy(passed=9, resources=3, failed=(finding,))
    assert judge(policy=policy).problems == [f"{DATABASE} fails CKV_AWS_157: Multi-AZ"]
    left_out = {"policy": [{"check": "CKV_AWS_157", "reason": "one zone is enough"}]}
    assert judge(policy=policy, allowed=left_out).problems == []
    assert judge(allowed=left_out).notes == ("nothing fails CKV_AWS_157; remove its entry",)


def test_a_policy_check_that_checked_next_to_nothing_is_red() -> None:
    (problem,) = judge(policy=Policy(passed=10, resources=100, failed=())).problems
    assert problem.startswith("checkov ran 10 checks on 100 resources, too few")


@pytest.mark.slow
def test_a_plan_that_checkov_does_not_understand_is_seen_as_unchecked() -> None:
    unread = {"address": "no_such_type.it", "mode": "managed", "type": "no_such_type", "name": "it", "values": {}}
    policy = check_policy(plan(planned_values={"root_module": {"resources": [unread]}}))
    assert policy.is_blind


@pytest.mark.parametrize(
    ("document", "empty"),
    [
        (plan(resource(DATABASE, ("no-op",))), True),
        (plan(resource(DATABASE, ("update",))), False),
        (plan(resource(DATABASE, ("no-op",), previous_address="aws_db_instance.old")), False),
        (plan(output_changes={"url": {"actions": ["update"]}}), False),
        (plan(output_changes={"url": {"actions": ["no-op"]}}), True),
    ],
)
def test_drift_is_any_change_at_all(document: dict[str, Any], *, empty: bool) -> None:
    assert judge(plan=document).problems == []
    assert (judge(plan=document, expect_empty=True).problems == []) is empty


def test_the_order_of_a_replacement_is_read() -> None:
    first, last = read_changes(plan(resource("a.b", ("create", "delete")), resource("a.c", ("delete", "create"))))
    assert (first.action, first.create_first) == (Action.REPLACE, True)
    assert (last.action, last.create_first) == (Action.REPLACE, False)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "no plan of format 1.x"),
        (plan(format_version="2.0"), "no plan of format 1.x (found 2.0)"),
        (plan(errored=True), "Terraform failed while it made this plan"),
        (plan(resource("a.b", ("ponder",))), "a.b has unknown actions ('ponder',)"),
    ],
)
def test_what_cannot_be_read_is_not_judged(document: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanningError) as told:
        read_changes(document)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("error", "step"),
    [
        ("│ Error: No valid credential sources found", "sign in to the account"),
        ("│ Error: operation error S3: GetObject, NoSuchBucket: no", "environments/prod.toml"),
        ("│ Error: Error acquiring the state lock", "another run holds the lock of prod's state"),
        ("│ Error: AccessDenied: not authorized to perform: rds:Describe", "the role may not read this"),
        ("│ Error: Failed to query available provider packages", "let Terraform reach registry.terraform.io"),
    ],
)
def test_an_error_of_terraform_ends_with_the_next_step(error: str, step: str) -> None:
    told = explain(f"terraform plan failed:\n╷\n{error}\n│ \n│ with more\n╵\n", "prod")
    assert told.startswith("Error: ")
    assert step in told.partition("\nNext: ")[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [("not json", "is not JSON"), ("{}", "is no plan; make it with: terraform show -json")],
)
def test_a_file_that_is_no_plan_is_told_without_a_stack_trace(tmp_path: Path, content: str, message: str) -> None:
    file, summary = tmp_path / "plan.json", tmp_path / "summary.md"
    file.write_text(content)
    arguments = ["-e", "prod", "--plan-json", str(file), "--markdown", str(summary)]
    ended = CliRunner().invoke(command.review, arguments)
    assert ended.exit_code == 2
    assert message in ended.stderr
    # Otherwise the comment of an earlier run would go on saying that all is well.
    assert summary.read_text().startswith("<!-- plan-review:prod -->\n## 🔴 prod: no plan\n")


def test_the_command_is_red_with_exit_code_1_and_tells_programs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan(REPLACED)))
    monkeypatch.setattr(command, "check_policy", lambda _: Policy(passed=9, resources=3, failed=()))
    ended = CliRunner().invoke(command.review, ["-e", "prod", "--plan-json", str(file), "--json"])
    assert ended.exit_code == 1
    told = json.loads(ended.stdout)
    assert told["verdict"] == "red"
    assert told["counts"] == {"replace": 1}
    assert told["empty"] is False
