"""Find an AWS provider that Terraform can deploy to the emulator with, and run Terraform apart from any AWS account.

The AWS provider is a 700 MB download, so a copy that this machine holds comes before the registry.
"""

import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks import ROOT

PROVIDER = Path("registry.terraform.io/hashicorp/aws")
MIRROR_VARIABLE = "SCANNER_PROVIDER_MIRROR"
OLDEST_TERRAFORM = (1, 10)
# The versions that environments/local.toml accepts: from the first number up to, and without, the second.
PROVIDER_VERSIONS = ((5, 100, 0), (7, 0, 0))
# Add-on software lies in /opt/<package> (Filesystem Hierarchy Standard), also where no CLI configuration names it.
ADD_ON_SOFTWARE = Path("/opt")
# `init` may download the provider; a plan of this stack takes a minute.
LONGEST_RUN_S = 1800
# What must not change how Terraform installs the provider: options, data folder and workspace of the caller's stack.
NOT_FOR_INSTALLING = ("TF_CLI_ARGS", "TF_DATA_DIR", "TF_WORKSPACE")


class TerraformError(RuntimeError):
    """A Terraform command failed; the message is what it wrote."""


@dataclass(frozen=True)
class Provider:
    """An AWS provider that Terraform can install: it lies in the filesystem mirror `mirror`."""

    mirror: Path

    def __str__(self) -> str:
        """Say where it lies, for a person."""
        return f"mirror {self.mirror}"


@dataclass(frozen=True)
class NoProvider:
    """Terraform cannot deploy here, and why: a sentence that ends with the way out."""

    reason: str


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def find_provider(
    environ: Mapping[str, str] = os.environ, *, report: Callable[[str], None] = _to_stderr
) -> Provider | NoProvider:
    """Return a usable provider: from the mirror that SCANNER_PROVIDER_MIRROR names, else from this machine.

    Where neither an earlier installation, TF_PLUGIN_CACHE_DIR nor a package in /opt holds one, Terraform installs it
    into `build/` by its own rules: the caller's CLI configuration, the implied mirrors, then the registry.

    Args:
        environ: the caller's variables.
        report: receives a line before the installation, which may download 700 MB.

    """
    if problem := terraform_problem():
        return NoProvider(problem)
    if named := environ.get(MIRROR_VARIABLE):
        if _holds_provider(Path(named)):
            return Provider(Path(named).resolve())
        wanted = f"an AWS provider {_wanted_versions()} for {_platform()}"
        return NoProvider(f"{MIRROR_VARIABLE}={named} holds no {PROVIDER} with {wanted}; correct or unset it.")
    with _installing() as folder:
        cache = environ.get("TF_PLUGIN_CACHE_DIR")
        installed, cached = folder / ".terraform" / "providers", [Path(cache)] if cache else []
        mirrors = [installed, *cached, *sorted(ADD_ON_SOFTWARE.glob("*"))]
        if not any(map(_holds_provider, mirrors)):
            report("Terraform installs the AWS provider: 700 MB, some minutes where it is downloaded, once ...")
            if error := _install(folder, environ):
                return _none_found(error)
        return Provider(next(filter(_holds_provider, mirrors)).resolve())


def _none_found(error: str) -> NoProvider:
    return NoProvider(
        f"Terraform finds no AWS provider {_wanted_versions()} ({error}); "
        f"`terraform providers mirror` makes a folder for {MIRROR_VARIABLE}."
    )


def command_environment(provider: Provider, state_dir: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for `terraform` and `cdktf`, its CLI configuration written to `state_dir`.

    Leaves out the caller's AWS and Terraform settings, so a mistake can reach the emulator only.
    """
    configuration = state_dir.resolve() / "terraform.rc"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    mirror = json.dumps(str(provider.mirror))
    configuration.write_text(f"provider_installation {{\n  filesystem_mirror {{\n    path = {mirror}\n  }}\n}}\n")
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "TF_", "CDKTF_"))}
    not_proxied = ",".join(filter(None, [kept.get("NO_PROXY", kept.get("no_proxy", "")), "127.0.0.1", "localhost"]))
    return kept | {
        "TF_CLI_CONFIG_FILE": str(configuration),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        # The provider builds the schemas of its 1,500 resources at each start. Fewer garbage collections save a quarter
        # of that time and cost 200 MB of memory.
        "GOGC": "400",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": not_proxied,
        "no_proxy": not_proxied,
        "CDKTF_HOME": str(configuration.parent / "cdktf"),
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20,22,24",
        "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
    }


def run(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """Run `terraform` in a synthesised stack's folder and return what it printed.

    Raises:
        TerraformError: it failed, or did not end within `LONGEST_RUN_S`.

    """
    command = " ".join(arguments)
    try:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_RUN_S,
        )
    except subprocess.TimeoutExpired as error:
        raise TerraformError(f"terraform {command} in {folder} did not end in {LONGEST_RUN_S // 60} minutes") from error
    if done.returncode:
        raise TerraformError(f"terraform {command} in {folder} failed:\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def init(folder: Path, environment: Mapping[str, str], *, backend: bool = True) -> None:
    """Install the provider; `backend=False` is enough for `validate` and asks no state bucket."""
    run(folder, environment, "init", "-no-color", "-reconfigure", f"-backend={str(backend).lower()}")


def validate(folder: Path, environment: Mapping[str, str]) -> None:
    """Check the configuration against the provider's schema."""
    run(folder, environment, "validate", "-no-color")


def plan(folder: Path, environment: Mapping[str, str], out: Path) -> None:
    """Save a plan to `out`."""
    run(folder, environment, "plan", "-no-color", "-lock-timeout=30s", f"-out={out.resolve()}")


def show_json(folder: Path, environment: Mapping[str, str], plan_file: Path) -> dict[str, Any]:
    """Return a saved plan as parsed JSON."""
    shown: dict[str, Any] = json.loads(run(folder, environment, "show", "-json", str(plan_file.resolve())))
    return shown


def terraform_problem() -> str | None:
    """Return why the installed Terraform cannot be used, and the next step; `None` if it can."""
    wanted = ".".join(map(str, OLDEST_TERRAFORM))
    if shutil.which("terraform") is None:
        return (
            f"Terraform is not installed; get {wanted} or newer from https://developer.hashicorp.com/terraform/install."
        )
    try:
        # The caller's CLI configuration may name a missing file, which spoils the JSON with a warning.
        environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
        done = subprocess.run(
            ["terraform", "version", "-json"], env=environment, capture_output=True, text=True, check=True, timeout=30
        )
        version = json.loads(done.stdout)["terraform_version"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return f"`terraform version` does not work here ({error}); install Terraform {wanted} or newer."
    if _version(version) < OLDEST_TERRAFORM:
        return f"Terraform {version} is too old; install {wanted} or newer."
    return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("-")[0]))


def _wanted_versions() -> str:
    oldest, beyond = (".".join(map(str, version)) for version in PROVIDER_VERSIONS)
    return f">= {oldest}, < {beyond}"


def _platform() -> str:
    machine = platform.machine().lower()
    return f"{sys.platform}_{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def _holds_provider(mirror: Path) -> bool:
    """Return whether a wanted version for this platform lies here, unpacked or as the zip that a mirror keeps."""
    folder, here = mirror / PROVIDER, _platform()
    try:
        unpacked = [path.parent.name for path in folder.glob(f"*/{here}") if any(path.glob("terraform-provider-aws*"))]
        packed = [path.name.split("_")[1] for path in folder.glob(f"terraform-provider-aws_*_{here}.zip")]
    except OSError:
        return False
    oldest, beyond = PROVIDER_VERSIONS
    return any(oldest <= _version(version) < beyond for version in (*unpacked, *packed))


@contextlib.contextmanager
def _installing() -> Iterator[Path]:
    """Yield the folder of our own installation; one process at a time may look into it or write to it."""
    folder = ROOT / "build" / "terraform-provider"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _install(folder: Path, environ: Mapping[str, str]) -> str:
    """Let Terraform install the provider by its own rules; return its error, or an empty text.

    The folder that it installs into has the layout of a filesystem mirror.
    """
    wanted = {"aws": {"source": str(PROVIDER.relative_to(PROVIDER.parts[0])), "version": _wanted_versions()}}
    (folder / "main.tf.json").write_text(json.dumps({"terraform": {"required_providers": wanted}}))
    kept = {name: value for name, value in environ.items() if not name.startswith(NOT_FOR_INSTALLING)}
    done = subprocess.run(
        [shutil.which("terraform") or "terraform", "init", "-no-color", "-upgrade"],
        cwd=folder,
        env={**kept, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    # A title, then the cause.
    title, _, cause = done.stderr.rpartition("Error: ")[2].strip().partition("\n\n")
    return " ".join((cause.partition("\n\n")[0] or title).split()).rstrip(".") if done.returncode else ""
