"""Acts as the on-call: asks the doctor about an alarm and runs the commands that it prints in a shell."""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.gameday.system import System
from stacks import ROOT

# Shell functions for the commands: the AWS CLI is not on every machine.
PRELUDE = "\n".join(
    f'{command}() {{ "{sys.executable}" -m lab.gameday.commands {command} "$@"; }}'
    for command in ("aws", "scannerdb", "cdktf")
)
TIMEOUT_S = 60
# What the on-call answers to each question.
YES = "y\n" * 20
EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True)
class Diagnosis:
    """The doctor's answer."""

    state: str
    findings: tuple[Mapping[str, Any], ...]

    def told(self, checks: Collection[str], states: Collection[str]) -> list[Mapping[str, Any]]:
        """Return the findings of these checks that are in one of these states."""
        return [each for each in self.findings if each["check"] in checks and each["state"] in states]


class DoctorError(RuntimeError):
    """The doctor gave no usable answer, or a command that it printed failed."""


def run_command(system: System, command: str, *, check: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run one command line in the on-call's shell."""
    done = subprocess.run(
        ["bash", "-c", f"{PRELUDE}\n{command}"],
        env=system.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        input=YES,
        timeout=TIMEOUT_S,
        check=False,
    )
    if check and done.returncode:
        raise DoctorError(f"{command} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done


def ask_doctor(system: System, alarm: str) -> Diagnosis:
    """Run `scannerdb doctor ALARM --json`.

    Raises:
        DoctorError: it printed no diagnosis, or its exit code contradicts its state.

    """
    environment = system.settings.environment
    command = f"scannerdb doctor {alarm} -e {environment} --json"
    done = run_command(system, command)
    try:
        diagnosis = _read(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as error:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise DoctorError(f"scannerdb doctor {alarm} ended with {done.returncode} and said: {said}") from error
    if done.returncode != EXIT_CODES[diagnosis.state]:
        raise DoctorError(f"scannerdb doctor {alarm} is {diagnosis.state}, but its exit code is {done.returncode}")
    return diagnosis


def ask_function(system: System, alarm: str) -> Diagnosis:
    """Invoke the function `doctor`, which needs no connection to the database."""
    return _read(system.invoke("doctor", {"alarm": alarm}))


def follow(system: System, findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Run the commands of the findings, each once, and return them.

    Raises:
        DoctorError: a command failed.

    """
    commands = list(dict.fromkeys(each["next"] for each in findings if each["next"]))
    for command in commands:
        run_command(system, command, check=True)
    return commands


def _read(answer: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(answer["state"], tuple(answer["findings"]))
