"""Find a Terraform that can deploy to the emulator, and run it without touching anybody's account.

The AWS provider is a 700 MB download, so any copy that is already on the machine comes before the registry.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks import ROOT

PROVIDER = Path("registry.terraform.io/hashicorp/aws")
REGISTRY_DISCOVERY_URL = f"https://{PROVIDER.parts[0]}/.well-known/terraform.json"
MIRROR_VARIABLE = "SCANNER_PROVIDER_MIRROR"
OLDEST_TERRAFORM = (1, 10)
# The versions that environments/local.toml accepts: from the first number up to, and without, the second.
PROVIDER_VERSIONS = ((5, 100, 0), (7, 0, 0))

SEARCHED_ROOTS = ("/opt", "/usr/share", "/usr/local/share", "/usr/lib", "/var/lib", "~")
SEARCH_DEPTH = 5
SEARCH_TIMEOUT_S = 5.0
NOT_SEARCHED = frozenset({"node_modules", ".git", ".venv", "site-packages", "proc", "sys"})


class TerraformError(RuntimeError):
    """A Terraform command failed; the message is what it wrote."""


@dataclass(frozen=True)
class Provider:
    """An AWS provider that Terraform can install: from `mirror`, or from the registry when that is None."""

    mirror: Path | None

    def __str__(self) -> str:
        """Say where it comes from, for a person."""
        return f"mirror {self.mirror}" if self.mirror else "registry.terraform.io"


@dataclass(frozen=True)
class NoProvider:
    """Terraform cannot deploy here, and why: a sentence that ends with the way out."""

    reason: str


def find_provider(environ: Mapping[str, str] = os.environ) -> Provider | NoProvider:
    """Look for a usable provider: named mirror, Terraform's own mirror folders, the usual roots, the registry."""
    if problem := _terraform_problem():
        return NoProvider(problem)
    if named := environ.get(MIRROR_VARIABLE):
        if _holds_provider(Path(named)):
            return Provider(Path(named).resolve())
        wanted = f"an AWS provider {_wanted_versions()} for {_platform()}"
        return NoProvider(f"{MIRROR_VARIABLE}={named} holds no {PROVIDER} with {wanted}; correct or unset it.")
    for mirror in (*_usual_mirrors(environ), *_search_mirrors()):
        if _holds_provider(mirror):
            return Provider(mirror.resolve())
    if _registry_answers():
        return Provider(None)
    return NoProvider(
        f"registry.terraform.io does not answer, and this machine holds no AWS provider {_wanted_versions()}; "
        f"`terraform providers mirror` makes a folder for {MIRROR_VARIABLE}."
    )


def command_environment(provider: Provider, state_dir: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for `terraform` and `cdktf`, its CLI configuration written to `state_dir`.

    Nothing of the caller's AWS or Terraform settings gets in, so a mistake can reach the emulator only.
    """
    configuration = state_dir.resolve() / "terraform.rc"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(_cli_configuration(provider))
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "TF_", "CDKTF_"))}
    not_proxied = ",".join(filter(None, [kept.get("NO_PROXY", kept.get("no_proxy", "")), "127.0.0.1", "localhost"]))
    return kept | {
        "TF_CLI_CONFIG_FILE": str(configuration),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        # The provider describes its 1,500 resources anew at each start; collecting garbage less often takes a quarter
        # off that, for 200 MB more.
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
        TerraformError: it failed.

    """
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        command = " ".join(arguments)
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


def _terraform_problem() -> str | None:
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


def _usual_mirrors(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders that Terraform itself looks into, and those that the caller's configuration names."""
    if cache := environ.get("TF_PLUGIN_CACHE_DIR"):
        yield Path(cache)
    configuration = Path(environ.get("TF_CLI_CONFIG_FILE", "~/.terraformrc")).expanduser()
    if configuration.is_file():
        named = re.findall(r'^\s*(?:path|plugin_cache_dir)\s*=\s*"([^"]+)"', configuration.read_text(), re.MULTILINE)
        yield from (Path(os.path.expandvars(name)).expanduser() for name in named)
    yield _own_cache()
    # https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
    home = Path.home()
    yield home / ".terraform.d" / "plugins"
    if sys.platform == "darwin":
        for library in (home / "Library", Path("/Library")):
            yield library / "Application Support" / "io.terraform" / "plugins"
        return
    data_home = environ.get("XDG_DATA_HOME", str(home / ".local" / "share"))
    data_folders = environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
    yield from (Path(folder) / "terraform" / "plugins" for folder in (data_home, *data_folders))


def _own_cache() -> Path:
    return ROOT / "build" / "terraform-plugins"


def _search_mirrors() -> Iterator[Path]:
    """Yield every mirror within a few levels of the usual roots, giving up after some seconds."""
    deadline = time.monotonic() + SEARCH_TIMEOUT_S
    for root in SEARCHED_ROOTS:
        start = Path(root).expanduser()
        for path, folders, _ in os.walk(start):
            if time.monotonic() > deadline:
                return
            if PROVIDER.parts[0] in folders:
                yield Path(path)
            at_bottom = len(Path(path).relative_to(start).parts) >= SEARCH_DEPTH
            folders[:] = [] if at_bottom else [name for name in folders if name not in NOT_SEARCHED]


def _registry_answers() -> bool:
    try:
        with urllib.request.urlopen(REGISTRY_DISCOVERY_URL, timeout=4) as answer:
            return "providers.v1" in json.load(answer)
    except (OSError, ValueError):
        return False


def _cli_configuration(provider: Provider) -> str:
    if provider.mirror is None:
        cache = _own_cache()
        cache.mkdir(parents=True, exist_ok=True)
        return f"plugin_cache_dir = {json.dumps(str(cache))}\nprovider_installation {{\n  direct {{}}\n}}\n"
    path = json.dumps(str(provider.mirror))
    return f"provider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n"
