"""`aws lambda invoke` and `scannerdb` for a shell without them: the same call and code.

python -m lab.gameday.commands scannerdb doctor lock-waits -e local
"""

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3

from handlers.contract.thresholds import Thresholds
from lab.gameday.clock import real_limits
from scannerdb import doctor, remedies
from scannerdb import migrations as migrate
from scannerdb.main import command
from scannerdb.options import current_release
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import Settings


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
    """Run `scannerdb` with thresholds in real time, and with the deployed migrations in the place of the checkout's.

    Without Session Manager's plugin a command behind `scannerdb tunnel` runs as it is: the server is on this machine.
    """
    if arguments[:1] == ["tunnel"] and shutil.which("session-manager-plugin") is None:
        program, *inner = arguments[arguments.index("--") + 1 :]
        if program != "scannerdb":
            raise SystemExit(f"scannerdb tunnel: only scannerdb can be run behind it here, not {program}")
        return scannerdb(inner)
    migrations = Path(os.environ["SCANNER__RELEASE__MIGRATIONS"])

    def thresholds(settings: Settings) -> Thresholds:
        return Thresholds(**real_limits(asdict(doctor_thresholds(settings))))

    replaced: dict[str, Any] = {
        "doctor_thresholds": thresholds,
        "current_release": lambda *_: current_release(migrations),
    }
    for module in (doctor, migrate, remedies):
        vars(module).update(replaced)
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
