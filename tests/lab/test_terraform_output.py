"""What is told of Terraform's output: progress in short, and the cause of a failure."""

import pytest

from lab import terraform_output
from lab.terraform_output import TerraformOutput

# As cdktf 0.21 prints it, terminal codes and all.
CLEAR = "\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[G"
DEPLOY = [
    "0 Stacks deploying     0 Stacks done     1 Stack waiting\n",
    f"{CLEAR}local  Terraform used the selected providers to generate the following execution plan.\n",
    "       \x1b[1mPlan:\x1b[0m 4 to add, 0 to change, 1 to destroy.\n",
    f"{CLEAR}local  \x1b[0m\x1b[1maws_iam_role.role: Creating...\x1b[0m\x1b[0m\n",
    "       \x1b[0m\x1b[1maws_db_instance.instance: Creating...\x1b[0m\x1b[0m\n",
    f"{CLEAR}local  \x1b[0m\x1b[1maws_iam_role.role: Creation complete after 1s [id=r]\x1b[0m\n",
    f"{CLEAR}local  \x1b[1maws_db_instance.instance: Still creating... [10s elapsed]\x1b[0m\n",
    "       Apply complete! Resources: 4 added, 0 changed, 1 destroyed.\n",
]
INVOCATION_ERROR = (
    "       \x1b[31m│\x1b[0m \x1b[0m\x1b[1m\x1b[31mError: \x1b[0m\x1b[0m\x1b[1minvoking Lambda Function (migrate): "
    '{"errorMessage": "migrations/003_x.sql, line 5: syntax error at or near \\"TABEL\\"\\nLINE 1", '
    '"errorType": "MigrationFailedError", "stackTrace": []}\x1b[0m\n'
)
FAILURE = [
    f"{CLEAR}local  \x1b[31m╷\x1b[0m\x1b[0m\n",
    INVOCATION_ERROR,
    "       \x1b[31m│\x1b[0m \x1b[0m\n",
    "       \x1b[31m│\x1b[0m \x1b[0m\x1b[0m  with aws_lambda_invocation.invocation,\n",
    "       \x1b[31m╵\x1b[0m\x1b[0m\n",
    "       \x1b[31m╷\x1b[0m\x1b[0m\n",
    "       \x1b[31m│\x1b[0m \x1b[1m\x1b[31mError: \x1b[0mcreating S3 Bucket (b): BucketAlreadyExists\n",
    "       \x1b[31m│\x1b[0m on cdk.tf.json line 73\n",
    "       \x1b[31m╵\x1b[0m\x1b[0m\n",
]
SYNTHESIS_FAILURE = [
    "\x1b[91m[ERROR] default - \x1b[39mERROR: cdktf encountered an error while synthesizing\n",
    "\n",
    "Synth command: .venv/bin/python main.py\n",
    "Error:         non-zero exit code 1\n",
    "\n",
    "Command output on stderr:\n",
    "\n",
    "    environments/local.toml: unknown key prot; did you mean port?\n",
    "\n",
    "⠦  Synthesizing\n",
]


def test_progress_is_told_in_short_with_elapsed_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform_output, "REPORT_EVERY_S", 0)
    told: list[str] = []
    output = TerraformOutput(told.append)
    for line in DEPLOY:
        output.take(line)
    assert told[0] == "   0 s  planned: 4 resources to add, 0 to change, 1 to destroy"
    waits = "aws_db_instance in progress for 0 s of about 80, as on AWS: the provider waits"
    assert told[-1] == f"   0 s  1 of 5 resources; {waits}"
    assert output.summary == "4 added, 0 changed, 1 destroyed"
    assert output.errors == []


def test_lines_for_the_log_carry_no_terminal_codes() -> None:
    output = TerraformOutput(lambda _line: None)
    lines = [output.take(line) for line in DEPLOY]
    assert lines[4] == "aws_db_instance.instance: Creating..."
    assert not any("\x1b" in line for line in lines)


def test_a_failed_invocation_is_told_as_the_functions_own_message() -> None:
    output = TerraformOutput(lambda _line: None)
    for line in FAILURE:
        output.take(line)
    assert output.errors == [
        'migrate failed: MigrationFailedError\nmigrations/003_x.sql, line 5: syntax error at or near "TABEL"\nLINE 1',
        "creating S3 Bucket (b): BucketAlreadyExists\non cdk.tf.json line 73",
    ]
    assert output.summary == ""


def test_what_main_py_says_before_it_fails_is_told() -> None:
    output = TerraformOutput(lambda _line: None)
    for line in SYNTHESIS_FAILURE:
        output.take(line)
    assert output.errors == ["environments/local.toml: unknown key prot; did you mean port?"]


def test_a_failure_that_is_no_json_is_told_as_it_is() -> None:
    text = "invoking Lambda Function (migrate): {broken}"
    assert terraform_output.invocation_error(text) == text
