"""`psql`, `aws lambda invoke` and `scannerdb` for a shell without them: the same statement, call and code.

python -m lab.gameday.commands psql DSN -c SQL
"""

import argparse
import json
import os
import sys
from pathlib import Path

import boto3
import psycopg2

from lab.gameday.clock import real_limits


def psql(arguments: list[str]) -> int:
    """Run `psql DSN -c SQL`."""
    dsn, option, sql = arguments
    if option != "-c":
        raise SystemExit(f"psql: only -c is known here, not {option}")
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql)
        if cursor.description:
            for row in cursor.fetchall():
                print(" | ".join(map(str, row)))
    connection.close()
    return 0


def aws(arguments: list[str]) -> int:
    """Run `aws lambda invoke` with its options; one that only concerns the command line's patience is passed over."""
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
    options.outfile.write_bytes(answer["Payload"].read())
    # The CLI ends with 0 here; whoever pastes it reads the error. Nobody reads here.
    return 1 if "FunctionError" in answer else 0


def scannerdb(arguments: list[str]) -> int:
    """Run `scannerdb` itself, with the doctor's limits in real time and the migrations that were deployed."""
    import stacks.alarms.thresholds  # noqa: PLC0415
    from stacks.settings import Settings  # noqa: PLC0415

    limits_of = stacks.alarms.thresholds.doctor_limits

    def scaled(settings: Settings) -> dict[str, float]:
        return real_limits(limits_of(settings))

    stacks.alarms.thresholds.doctor_limits = scaled
    # What imports them by name must come after this.
    from scannerdb import main as command_line  # noqa: PLC0415
    from scannerdb import options  # noqa: PLC0415

    # The on-call's checkout is the one that was deployed.
    options.MIGRATIONS = Path(os.environ["SCANNER__RELEASE__MIGRATIONS"])
    command_line.command(arguments)
    return 0


def main() -> int:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:]
    os.environ.setdefault("COLUMNS", "200")
    match name:
        case "psql":
            return psql(arguments)
        case "aws":
            return aws(arguments)
        case "scannerdb":
            return scannerdb(arguments)
    raise SystemExit(f"{name}: cannot be run on a game day")


if __name__ == "__main__":
    sys.exit(main())
