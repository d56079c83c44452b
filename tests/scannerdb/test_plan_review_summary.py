"""The summary tells a person what they would ask for, and never a secret."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from scannerdb.review.comments import LONGEST_COMMENT
from scannerdb.review.render import markdown, no_plan, print_review, to_json
from tests.support.terraform_plans import DATABASE, REPLACE, TODAY, allowing, judge, resource

if TYPE_CHECKING:
    from scannerdb.review.review import Review

WINDOW = {"maintenance_window": "tue:02:30-tue:03:30", "apply_immediately": False}
ALARM = "aws_cloudwatch_metric_alarm.alarms_slow_queries"


def terminal(review: Review) -> str:
    screen = io.StringIO()
    print_review(review, Console(file=screen, width=200))
    return screen.getvalue()


def section(review: Review, title: str) -> str:
    """Return one section of the Markdown."""
    return markdown(review).partition(f"{title}\n\n")[2].partition("\n\n")[0]


def updated(before: dict[str, Any], after: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return resource(DATABASE, ("update",), before=WINDOW | before, after=WINDOW | after, **arguments)


@pytest.mark.parametrize(
    ("attribute", "before", "after"),
    [
        ("instance_class", "db.m7g.large", "db.m7g.xlarge"),
        ("engine_version", "17.5", "17.6"),
        ("db_subnet_group_name", "a", "b"),
        ("identifier", "a", "b"),
        ("ca_cert_identifier", "rds-ca-2019", "rds-ca-rsa2048-g1"),
    ],
)
def test_a_change_that_restarts_the_database_waits_for_the_window(attribute: str, before: str, after: str) -> None:
    told = section(judge(updated({attribute: before}, {attribute: after})), "Restarts of the database")
    assert f"`{attribute}`: `{before}` -\\> `{after}`" in told
    assert "in the maintenance window tue:02:30-tue:03:30 UTC" in told


@pytest.mark.parametrize(("after", "refused"), [("17.6", False), ("18", True), ("18.4", True)])
def test_a_new_major_version_is_not_a_matter_of_a_deploy(after: str, refused: bool) -> None:
    (restart,) = judge(updated({"engine_version": "17"}, {"engine_version": after})).restarts
    assert ("RDS refuses a new major version" in restart.why) is refused


@pytest.mark.parametrize(
    ("address", "attribute", "before", "after"),
    [
        ("aws_rds_cluster.database_cluster", "engine_version", "17.5", "17.6"),
        ("aws_rds_cluster_instance.database_instance_1", "instance_class", "db.r7g.large", "db.r7g.xlarge"),
        (
            "aws_rds_cluster_instance.database_instance_1",
            "ca_cert_identifier",
            "rds-ca-rsa2048-g1",
            "rds-ca-rsa4096-g1",
        ),
    ],
)
def test_a_change_that_restarts_an_instance_of_a_cluster_waits_for_the_window(
    address: str, attribute: str, before: str, after: str
) -> None:
    common = {"preferred_maintenance_window": "tue:02:30-tue:03:30", "apply_immediately": False}
    change = resource(address, ("update",), before={attribute: before, **common}, after={attribute: after, **common})
    (restart,) = judge(change).restarts
    assert restart.difference.attribute == attribute
    assert restart.when == "in the maintenance window tue:02:30-tue:03:30 UTC (apply_immediately = false)"


def test_parameters_of_a_cluster_wait_for_a_restart_as_those_of_an_instance_do() -> None:
    def group(value: str) -> dict[str, Any]:
        return {"parameter": [{"name": "max_connections", "value": value, "apply_method": "pending-reboot"}]}

    address = "aws_rds_cluster_parameter_group.database_parameter_group"
    (restart,) = judge(resource(address, ("update",), before=group("800"), after=group("1600"))).restarts
    assert (restart.difference.before, restart.difference.after) == ("800", "1600")


def test_apply_immediately_restarts_it_during_the_deploy() -> None:
    change = updated({"instance_class": "a"}, {"instance_class": "b", "apply_immediately": True})
    assert "during the deploy (apply\\_immediately = true)" in section(judge(change), "Restarts of the database")


def test_a_new_port_restarts_it_at_once() -> None:
    told = section(judge(updated({"port": 5432}, {"port": 5433})), "Restarts of the database")
    assert "RDS restarts the database at once" in told


def test_what_restarts_nothing_is_not_told_as_a_restart() -> None:
    review = judge(updated({"multi_az": False, "allocated_storage": 100}, {"multi_az": True, "allocated_storage": 200}))
    assert review.restarts == ()
    assert "`multi_az`: `false` -\\> `true`" in markdown(review)


def test_a_database_that_is_made_is_not_restarted() -> None:
    assert judge(resource(DATABASE, ("create",), after={"instance_class": "db.m7g.large"})).restarts == ()


def test_parameters_that_wait_for_a_restart_are_told_and_others_are_not() -> None:
    def parameters(connections: str, slow_ms: str) -> dict[str, Any]:
        return {
            "parameter": [
                {"name": "max_connections", "value": connections, "apply_method": "pending-reboot"},
                {"name": "log_min_duration_statement", "value": slow_ms, "apply_method": "immediate"},
            ]
        }

    address = "aws_db_parameter_group.database_parameter_group"
    review = judge(resource(address, ("update",), before=parameters("800", "500"), after=parameters("900", "250")))
    (restart,) = review.restarts
    difference = restart.difference
    assert (difference.attribute, difference.before, difference.after) == ("max_connections", "800", "900")
    assert "at the next restart; no restart is scheduled" in restart.when


def test_a_changed_alarm_tells_its_thresholds() -> None:
    review = judge(resource(ALARM, ("update",), before={"threshold": 10}, after={"threshold": 20}))
    assert section(review, "Alarms") == f"- `{ALARM}`: update\n  - `threshold`: `10` -\\> `20`"


def test_what_is_too_large_to_be_shown_is_told_as_changed() -> None:
    queries = [{"period": 60}], [{"period": 300}]
    review = judge(resource(ALARM, ("update",), before={"dimensions": queries[0]}, after={"dimensions": queries[1]}))
    assert "`dimensions`: `(1 entries)` -\\> `(1 entries), changed`" in section(review, "Alarms")


POLICY = "aws_iam_role_policy.functions_migrate_policy"


def policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": ["arn:aws:s3:::b/*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def changed(address: str, attribute: str, before: Any, after: Any, **arguments: Any) -> Review:
    return judge(resource(address, ("update",), before={attribute: before}, after={attribute: after}, **arguments))


def test_a_policy_is_compared_line_by_line_in_a_collapsed_block() -> None:
    review = changed(POLICY, "policy", policy("s3:GetObject"), policy("s3:GetObject", "s3:PutObject"))
    text = markdown(review)
    assert f"- `{POLICY}`: update\n  - `policy`: 2 lines added, 1 removed" in text
    block = text.partition("<details>")[2].partition("</details>")[0].splitlines()
    assert block[0] == f"<summary>policy of {POLICY}</summary>"
    assert block[2] == "  ```diff"
    assert [line.strip() for line in block if line.startswith(("  +", "  -"))] == [
        '-        "s3:GetObject"',
        '+        "s3:GetObject",',
        '+        "s3:PutObject"',
    ]
    assert '+        "s3:PutObject"' in terminal(review)
    (diffs,) = (
        item["diffs"] for each in json.loads(to_json(review))["sections"] for item in each["items"] if "diffs" in item
    )
    assert diffs[0]["title"] == f"policy of {POLICY}"


@pytest.mark.parametrize(
    ("address", "attribute", "before", "after", "line"),
    [
        (
            ALARM,
            "metric_query",
            [{"id": "m", "period": 60, "label": ""}],
            [{"id": "m", "period": 300}],
            '+    "period": 300',
        ),
        ("aws_cloudwatch_dashboard.it", "dashboard_body", '{"widgets": [1]}', '{"widgets": [2]}', "+    2"),
        ("aws_cloudwatch_event_rule.it", "event_pattern", '{"source": ["a"]}', '{"source": ["b"]}', '+    "b"'),
        ("aws_cloudwatch_log_metric_filter.it", "pattern", "[a, b]", "[a, c]", "+[a, c]"),
    ],
)
def test_each_document_is_compared_line_by_line(
    address: str, attribute: str, before: Any, after: Any, line: str
) -> None:
    assert f"  {line}\n" in markdown(changed(address, attribute, before, after))


def test_a_part_of_a_document_that_is_known_after_the_apply_is_marked() -> None:
    before, after = [{"id": "m", "account_id": "1"}], [{"id": "m"}]
    review = changed(ALARM, "metric_query", before, after, unknown={"metric_query": [{"account_id": True}]})
    assert '+    "account_id": "(known after apply)",' in markdown(review)


def test_a_document_cannot_leave_its_block() -> None:
    review = changed(POLICY, "policy", '{"Sid": "a"}', json.dumps({"Sid": "````\n</details>\n# done"}))
    text = markdown(review)
    assert "  `````diff\n" in text
    assert "\n# done" not in text


def test_the_alarms_of_a_first_deployment_are_listed_with_the_rest() -> None:
    text = markdown(judge(resource(ALARM, ("create",), after={"threshold": 10})))
    assert "### Alarms" not in text
    assert "`aws_cloudwatch_metric_alarm` (1): `alarms_slow_queries`" in text


def test_what_is_known_after_the_apply_is_named_without_a_value() -> None:
    change = updated({"port": 1, "arn": "a"}, {"port": 1}, unknown={"arn": True, "replicas": [True]})
    assert "known after the apply: `arn`, `replicas`" in markdown(judge(change))
    forced = resource(
        DATABASE, REPLACE, before={"kms_key_id": None}, after={}, unknown={"kms_key_id": True}, forcing=[["kms_key_id"]]
    )
    assert "`kms_key_id`: `(none)` -\\> `(known after apply)` forces the replacement" in markdown(judge(forced))


def test_a_move_and_an_import_are_told() -> None:
    moved = resource(DATABASE, ("no-op",), previous_address="aws_db_instance.old")
    imported = resource("aws_vpc.it", ("no-op",))
    imported["change"]["importing"] = {"id": "vpc-1"}
    told = section(judge(moved, imported), "Moved or imported")
    assert told == f"- `aws_db_instance.old` -\\> `{DATABASE}`\n- `aws_vpc.it` is imported"


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "change",
    [
        updated({"username": "a"}, {"username": SECRET}, secrets={"username": True}),
        updated({"username": SECRET}, {"username": "b"}, secrets=True),
        updated({"tags": {"a": "b"}}, {"tags": {"a": SECRET}}, secrets={"tags": {"a": True}}),
        updated({"master_password": "a"}, {"master_password": SECRET}),
        updated({"environment": []}, {"environment": [{"variables": {"DATABASE_URL": SECRET}}]}),
        updated({"settings": {}}, {"settings": {"api_token": SECRET}}),
        updated({"instance_class": "a"}, {"instance_class": SECRET}, secrets={"instance_class": True}),
        resource(DATABASE, REPLACE, before={"user_data": SECRET}, after={"user_data": "b"}, forcing=[["user_data"]]),
        resource(ALARM, ("update",), before={"threshold": SECRET}, after={}, secrets={"threshold": True}),
    ],
)
def test_no_secret_is_shown_wherever_it_hides(change: dict[str, Any]) -> None:
    review = judge(change)
    for shown in (terminal(review), markdown(review), to_json(review), repr(review)):
        assert SECRET not in shown


def test_the_markdown_can_be_found_again_and_names_the_problem_first() -> None:
    review = judge(resource(DATABASE, REPLACE, forcing=[["db_name"]]))
    lines = markdown(review).splitlines()
    assert lines[0] == "<!-- plan-review:prod -->"
    assert lines[1] == "## 🔴 prod: 1 problem, do not apply"
    assert lines[3] == "Planned against a test: 0 to create, 0 to change, 1 to replace, 0 to destroy, 0 unchanged."
    assert lines[5] == "### 🔴 Problems"


def test_an_agreed_loss_is_told_with_its_reason() -> None:
    review = judge(resource(DATABASE, REPLACE), allowed=allowing())
    assert markdown(review).splitlines()[1] == "## 🟡 prod: what would be lost was agreed to"
    assert "allowed until 2026-11-24: restored from a snapshot" in terminal(review)


def test_text_of_a_plan_is_never_markup() -> None:
    evil = "`</details>` @everyone <img src=x>\n# done"
    text = markdown(judge(updated({"ca_cert_identifier": "a"}, {"ca_cert_identifier": evil})))
    assert "`` `</details>` @everyone <img src=x> # done ``" in text
    assert "\n# done" not in text


def test_a_summary_that_is_too_long_for_a_comment_is_cut_and_says_so() -> None:
    many = [resource(f"aws_s3_object.{'x' * 50}{number}", ("create",)) for number in range(2000)]
    text = markdown(judge(*many))
    assert len(text) <= LONGEST_COMMENT
    assert text.count("<details>") == text.count("</details>")
    assert text.endswith("The rest did not fit into a comment of GitHub; the job's log has all of it.\n")


def test_a_summary_that_is_cut_inside_of_a_diff_ends_the_diff_and_its_block() -> None:
    actions = [f"s3:Action{number}" for number in range(5000)]
    text = markdown(changed(POLICY, "policy", policy("s3:GetObject"), policy(*actions)))
    assert len(text) <= LONGEST_COMMENT
    kept = text.partition("\n\nThe rest did not fit")[0].rstrip().splitlines()
    assert [kept[-4][:3], *kept[-3:]] == ["  +", "  ```", "", "  </details>"]


@pytest.mark.parametrize("why", ["a line of Terraform\n" * 10_000, "one line " * 20_000], ids=["lines", "one line"])
def test_a_reason_why_there_is_no_plan_is_cut_too(why: str) -> None:
    text = no_plan("prod", why)
    assert text.startswith("<!-- plan-review:prod -->\n## 🔴 prod: no plan\n")
    assert LONGEST_COMMENT - 20_000 < len(text) <= LONGEST_COMMENT
    assert "The rest did not fit" in text


def test_an_entry_that_expired_is_reported_even_when_nothing_is_lost() -> None:
    review = judge(allowed=allowing(expires=TODAY - dt.timedelta(days=1)))
    assert review.problems == []
    assert f"the entry for {DATABASE} (replace) expired on 2026-11-23; remove it" in terminal(review)
