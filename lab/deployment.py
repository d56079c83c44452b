"""One deployment on this machine: embedded PostgreSQL, AWS emulator, and the stack that `cdktf deploy local` creates.

All state lies in one folder; every process that is started ends with the `with` block.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from handlers.contract import names
from lab.embedded_postgres import EmbeddedPostgres
from lab.emulator.database_servers import RESTORED
from lab.emulator.server import Emulator, database_host_names
from lab.processes import end_tree, uninterrupted
from lab.terraform_output import TerraformOutput
from scannerdb import terraform
from scannerdb.options import DSN_VARIABLE, ENVIRONMENT_VARIABLE
from scannerdb.review.changes import Action, read_changes
from stacks import ROOT
from stacks.settings import load_settings

SETTINGS_FILE = ROOT / "environments" / "local.toml"
CDKTF = ROOT / "node_modules" / ".bin" / "cdktf"
DIRECTORY = ROOT / "build" / "local"
# For a laptop; a million objects stay in memory.
SERVER_PARAMETERS = {"shared_buffers": "256MB", "max_wal_size": "2GB", "maintenance_work_mem": "128MB"}
# A shell may hold the credentials of a real account.
FORGET_ANOTHER_ACCOUNT = """\
for name in $(env | sed -nE 's/^((AWS|TF|CDKTF)_[A-Za-z0-9_]*)=.*/\\1/p'); do unset "$name"; done
"""


class DeploymentError(RuntimeError):
    """A deploy, a destroy or the start failed; the message gives the cause and the log file."""


class Deployment:
    """The whole system of one run.

    Args:
        directory: holds its state; one deployment at a time may use it.
        report: receives lines of progress for people.
        environ: the caller's variables, such as `SCANNER__RELEASE__MIGRATIONS`.
        settings_file: the environment's settings, in any folder; its name is the name of the environment.

    """

    def __init__(
        self,
        directory: Path = DIRECTORY,
        *,
        report: Callable[[str], None] = print,
        environ: Mapping[str, str] = os.environ,
        settings_file: Path = SETTINGS_FILE,
    ) -> None:
        self.directory = directory
        self.settings = load_settings(settings_file, environ)
        self.postgres = EmbeddedPostgres(
            directory / "postgresql",
            host_names=database_host_names(self.settings.region),
            parameters=SERVER_PARAMETERS,
            version=int(self.settings.database.engine_version.partition(".")[0]),
        )
        self.emulator: Emulator
        self.overrides: dict[str, str] = {}
        self._report = report
        self._environ = environ
        self._settings_file = settings_file
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(_locked(self.directory))
            self.postgres.discard()
            _discard_restored(self.directory)
            _empty(self.directory)
            self._stack.callback(self.postgres.discard)
            self.postgres.start()
            self.emulator = Emulator(
                self.directory,
                region=self.settings.region,
                database_password=self.postgres.password,
                database=self.postgres,
            )
            self._stack.enter_context(self.emulator)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            self._stack.close()

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.directory / "logs"

    @property
    def shell_variables(self) -> Path:
        """Where `write_shell_variables` writes."""
        return self.directory / "env"

    @property
    def stack_directory(self) -> Path:
        """Where the synthesised Terraform JSON of the stack lies."""
        return self.directory / "cdktf.out" / "stacks" / self.settings.environment

    def function_name(self, function: str) -> str:
        """Return the deployed name of a function such as `refresh`."""
        return names.function_name(self.settings.prefix, function)

    def settings_variables(self) -> dict[str, str]:
        """Return the variables that make the settings point at this run's servers."""
        return {
            # `main.py` joins it to its folder of environments; an absolute path replaces that folder.
            "SCANNER_ENVIRONMENTS": str(self._settings_file.with_suffix("")),
            "SCANNER__AWS__ENDPOINT": self.emulator.aws_url,
            "SCANNER__DATABASE__PORT": str(self.postgres.port),
            "SCANNER__FUNCTIONS__CA_BUNDLE": str(self.postgres.certificate_authority),
            "SCANNER__STATE__PATH": str(self.directory / "terraform.tfstate"),
            **self.overrides,
        }

    def environment(self, provider: terraform.Provider) -> dict[str, str]:
        """Return the environment of `cdktf` and `terraform`."""
        environment = terraform.command_environment(provider, self.directory, self._environ)
        return environment | self.settings_variables()

    def write_shell_variables(self, provider: terraform.Provider | None) -> Path:
        """Write what points a shell at this run's servers, to be sourced; it is deleted with the deployment.

        Args:
            provider: with which Terraform deploys; `None`: it cannot, and the other commands work.

        """
        ours = self.settings_variables() | {
            ENVIRONMENT_VARIABLE: self.settings.environment,
            # The database's names resolve nowhere.
            "PGHOSTADDR": "127.0.0.1",
        }
        if provider is None:
            # No state says where the database is.
            ours[DSN_VARIABLE] = self.postgres.dsn()
        else:
            ours |= terraform.command_environment(
                provider, self.directory, {"NO_PROXY": os.environ.get("NO_PROXY", "")}
            )
        self._stack.callback(self.shell_variables.unlink, missing_ok=True)
        self.shell_variables.write_text(
            FORGET_ANOTHER_ACCOUNT
            + "".join(f"export {name}={shlex.quote(text)}\n" for name, text in sorted(ours.items()))
        )
        return self.shell_variables

    def synthesise(self) -> None:
        """Write the stack's Terraform JSON without `cdktf`.

        Raises:
            DeploymentError: `main.py` failed.

        """
        log_file = self.logs / "synth.log"
        chosen = self.settings_variables() | {"CDKTF_OUTDIR": str(self.directory / "cdktf.out")}
        with log_file.open("w") as log:
            command = [sys.executable, "main.py"]
            done = subprocess.run(
                command, cwd=ROOT, env={**self._environ, **chosen}, stdout=log, stderr=log, check=False
            )
        if done.returncode:
            raise DeploymentError(f"main.py failed:\n{log_file.read_text()[-2000:]}\nThe whole output: {log_file}")

    def deploy(self, provider: terraform.Provider) -> str:
        """Run `cdktf deploy`; return Terraform's summary, such as `92 added, 0 changed, 0 destroyed`.

        Raises:
            DeploymentError: it failed.

        """
        return self._cdktf("deploy", provider, "--skip-provider-lock")

    def destroy(self, provider: terraform.Provider) -> str:
        """Run `cdktf destroy`; return Terraform's summary.

        Raises:
            DeploymentError: it failed.

        """
        return self._cdktf("destroy", provider, "--skip-provider-lock", "--skip-synth")

    def plan(self, provider: terraform.Provider) -> dict[str, Any]:
        """Plan against the deployed stack; return the plan as parsed JSON.

        Raises:
            TerraformError: it failed.

        """
        environment, plan_file = self.environment(provider), self.directory / "second.tfplan"
        terraform.plan(self.stack_directory, environment, plan_file)
        return terraform.show_json(self.stack_directory, environment, plan_file)

    def _cdktf(self, command: str, provider: terraform.Provider, *options: str) -> str:
        log_file, stack = self.logs / f"{command}.log", self.settings.environment
        arguments = [str(CDKTF), command, stack, "--auto-approve", *options]
        output = TerraformOutput(self._report)
        process = subprocess.Popen(
            [*arguments, "--output", str(self.directory / "cdktf.out")],
            cwd=ROOT,
            env=self.environment(provider),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        try:
            with log_file.open("w") as log, process.stdout:
                for raw in process.stdout:
                    line = output.take(raw)
                    lines.append(line)
                    log.write(f"{line}\n")
            status = process.wait()
        finally:
            end_tree(process)
        if status or not output.summary:
            cause = "\n".join(output.errors) or "\n".join(line for line in lines[-15:] if line)
            raise DeploymentError(f"cdktf {command} {stack} failed: {cause}\nThe whole output: {log_file}")
        return output.summary


def changes(plan: Mapping[str, Any]) -> list[str]:
    """Return a line for each resource that a plan would change: its address, the action, the attributes that differ."""
    return [
        f"{change.address}: {change.action} {', '.join(each.attribute for each in change.differences())}"
        for change in read_changes(plan)
        if change.action is not Action.NOTHING
    ]


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the folder for one deployment; the kernel releases the lock when the process ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read() or "another process"
            raise DeploymentError(
                f"{directory} is in use by {holder}; wait for its end, stop it with Ctrl-C, or use another folder"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, running since {time.strftime('%H:%M:%S')}")
        lock.flush()
        yield


def _discard_restored(directory: Path) -> None:
    """Stop the servers of restored instances that a killed emulator left."""
    for left in directory.glob(RESTORED):
        EmbeddedPostgres(left).discard()


def _empty(directory: Path) -> None:
    """Remove what an earlier run left: its emulator kept everything in memory, so its state is worthless."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
