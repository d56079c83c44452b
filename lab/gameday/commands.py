"""`aws lambda invoke` and `scannerdb` for a shell without them: the same call and code.

python -m lab.gameday.commands scannerdb doctor lock-waits -e local
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import boto3

from handlers.contract.thresholds import Thresholds
from handlers.migrator.runner import run
from lab.gameday.clock import real_limits
from scannerdb import doctor
from scannerdb.main import command
from scannerdb.options import DSN_VARIABLE, connect_to, current_release, environment_file
from scannerdb.printed import commands_of
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import load_settings


def aws(arguments: list[str]) -> int:
    """Run `aws lambda invoke` with its options; `--cli-read-timeout` has no effect here."""
    if arguments[:2] != ["lambda", "invoke"]:
        raise SystemExit(f"aws: only `aws lambda invoke` is known here, not {' '.join(arguments[:2])}")
    parser = argparse.ArgumentParser(prog="aws lambda invoke", exit_on_error=False)
    for option in ("--function-name", "--cli-binary-format", "--payload"):
        parser.add_argument(option, required=True)
    parser.add_argument("--cli-read-timeout")
    parser.add_argument("outfile", type=Path)
    options = parser.parse_args(arguments[2:])
    if options.cli_binary_format != "raw-in-base64-out":
        raise SystemExit("aws: version 2 of the AWS CLI takes JSON only with --cli-binary-format raw-in-base64-out")
    json.loads(options.payload)
    answer = boto3.client("lambda").invoke(FunctionName=options.function_name, Payload=options.payload.encode())
    body = answer["Payload"].read()
    options.outfile.write_bytes(body)
    # The AWS CLI ends with 0 also when the function raised an error, or tells of one. Here no person reads it.
    said = json.loads(body)
    return 1 if "FunctionError" in answer or (isinstance(said, dict) and "failed" in said) else 0


def scannerdb(arguments: list[str]) -> int:
    """Run `scannerdb`; `doctor` with thresholds in real time, `doctor` and `migrate` with the deployed migrations."""
    migrations = Path(os.environ["SCANNER__RELEASE__MIGRATIONS"])
    match arguments:
        case ["doctor", *options]:
            given = doctor.doctor.make_context("doctor", options).params
            settings = load_settings(environment_file(given["environment"]))
            state = doctor.diagnose(
                given["alarm"],
                given["dsn"],
                settings=settings,
                commands=commands_of(settings, given["dsn"], is_typed=False),
                thresholds=Thresholds(**real_limits(asdict(doctor_thresholds(settings)))),
                migrations=migrations,
                as_json=given["as_json"],
            )
            return doctor.EXIT_CODES[state]
        case ["migrate", *_]:
            result = run(connect_to(os.environ[DSN_VARIABLE]), current_release(migrations))
            print(f"Applied: {', '.join(result.applied)}.")
            return 0
    command(arguments)
    return 0


def main() -> int:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:]
    os.environ.setdefault("COLUMNS", "200")
    match name:
        case "aws":
            return aws(arguments)
        case "scannerdb":
            return scannerdb(arguments)
    raise SystemExit(f"{name}: cannot be run on a game day")


if __name__ == "__main__":
    sys.exit(main())
