"""Finding an AWS provider on any machine, and running Terraform apart from any account."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from scannerdb import terraform
from scannerdb.terraform import NoProvider, Provider, command_environment, find_provider

EXECUTABLE_TERRAFORM = f"""#!{sys.executable}
import json, sys
if sys.argv[1] == "init":
    sys.exit("\\nError: Failed to query\\n\\nregistry.terraform.io:\\nno such host\\n\\nTo see which modules ...")
print(json.dumps({{"terraform_version": "VERSION"}}))
"""
REAL_TERRAFORM = shutil.which("terraform")


def lay_unpacked(mirror: Path, version: str) -> None:
    folder = mirror / terraform.PROVIDER / version / terraform._platform()
    folder.mkdir(parents=True)
    (folder / f"terraform-provider-aws_v{version}_x5").touch()


def lay_packed(mirror: Path, version: str) -> None:
    folder = mirror / terraform.PROVIDER
    folder.mkdir(parents=True)
    (folder / f"terraform-provider-aws_{version}_{terraform._platform()}.zip").touch()


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a Terraform, without provider, network and home."""
    programs = tmp_path / "programs"
    programs.mkdir()
    install_terraform(programs, "1.10.0")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(terraform, "ROOT", tmp_path / "repository")
    monkeypatch.setattr(terraform, "ADD_ON_SOFTWARE", tmp_path / "opt")
    return programs


def install_terraform(programs: Path, version: str) -> None:
    program = programs / "terraform"
    program.write_text(EXECUTABLE_TERRAFORM.replace("VERSION", version))
    program.chmod(0o755)


@pytest.mark.parametrize("lay", [lay_unpacked, lay_packed])
def test_a_named_mirror_is_used_in_either_layout(lay: object, tmp_path: Path) -> None:
    lay(tmp_path / "mirror", "5.100.0")  # type: ignore[operator]
    found = find_provider({"SCANNER_PROVIDER_MIRROR": str(tmp_path / "mirror")})
    assert found == Provider(tmp_path / "mirror")


@pytest.mark.parametrize("version", ["5.99.1", "7.0.0"])
def test_a_named_mirror_without_a_wanted_version_is_an_answer_of_its_own(version: str, tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "mirror", version)
    lay_unpacked(tmp_path / "opt" / "plugins", "6.25.0")
    found = find_provider({"SCANNER_PROVIDER_MIRROR": str(tmp_path / "mirror")})
    assert isinstance(found, NoProvider)
    assert f"SCANNER_PROVIDER_MIRROR={tmp_path / 'mirror'} holds no" in found.reason
    assert ">= 5.100.0, < 7.0.0" in found.reason


def test_the_caller_s_plugin_cache_is_used(tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "cache", "6.25.0")
    assert find_provider({"TF_PLUGIN_CACHE_DIR": str(tmp_path / "cache")}) == Provider(tmp_path / "cache")


def test_a_mirror_of_add_on_software_is_used_although_a_missing_configuration_is_named(tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "opt" / "plugins", "5.100.0")
    found = find_provider({"TF_CLI_CONFIG_FILE": str(tmp_path / "missing.rc")})
    assert found == Provider(tmp_path / "opt" / "plugins")


@pytest.fixture
def real_terraform(bare_machine: Path) -> None:
    if REAL_TERRAFORM is None:
        pytest.skip("Terraform is not installed")
    (bare_machine / "terraform").unlink()
    (bare_machine / "terraform").symlink_to(REAL_TERRAFORM)


@pytest.mark.parametrize(
    ("folder", "variable"),
    [
        ("home/.terraform.d/plugins", "HOME"),
        ("data/terraform/plugins", "XDG_DATA_HOME"),
        ("data/terraform/plugins", "XDG_DATA_DIRS"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="Terraform on macOS has other implied mirrors")
@pytest.mark.usefixtures("real_terraform")
def test_terraform_installs_from_its_implied_mirrors(folder: str, variable: str, tmp_path: Path) -> None:
    lay_unpacked(tmp_path / folder, "6.25.0")
    found = find_provider({"HOME": str(tmp_path), variable: str(tmp_path / Path(folder).parts[0])})
    assert isinstance(found, Provider)
    assert found.mirror.is_relative_to(tmp_path / "repository" / "build")
    assert [path.name for path in (found.mirror / terraform.PROVIDER).iterdir()] == ["6.25.0"]


@pytest.mark.usefixtures("real_terraform")
def test_terraform_installs_from_the_caller_s_own_configuration_once(tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "company", "6.0.0")
    configuration = tmp_path / "their.rc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path / "company"}"\n  }}\n}}\n'
    )
    variables = {"TF_CLI_CONFIG_FILE": str(configuration), "TF_WORKSPACE": "production", "TF_CLI_ARGS": "-help"}
    found = find_provider(variables)
    assert isinstance(found, Provider)
    assert [path.name for path in (found.mirror / terraform.PROVIDER).iterdir()] == ["6.0.0"]
    configuration.unlink()
    assert find_provider(variables) == found


def test_without_a_provider_the_reason_tells_terraform_s_own_and_the_way_out() -> None:
    found = find_provider({})
    assert isinstance(found, NoProvider)
    assert "(registry.terraform.io: no such host)" in found.reason
    assert "SCANNER_PROVIDER_MIRROR" in found.reason


def test_what_may_download_for_minutes_is_told_before_it_begins(tmp_path: Path) -> None:
    told: list[str] = []
    find_provider({}, report=told.append)
    assert told == ["Terraform installs the AWS provider: 700 MB, some minutes where it is downloaded, once ..."]
    lay_unpacked(tmp_path / "cache", "6.0.0")
    find_provider({"TF_PLUGIN_CACHE_DIR": str(tmp_path / "cache")}, report=told.append)
    assert len(told) == 1


def test_a_machine_without_terraform_says_so(bare_machine: Path) -> None:
    (bare_machine / "terraform").unlink()
    found = find_provider({})
    assert isinstance(found, NoProvider)
    assert found.reason.startswith("Terraform is not installed; get 1.10 or newer")


def test_a_terraform_that_is_too_old_says_so(bare_machine: Path) -> None:
    install_terraform(bare_machine, "1.9.8")
    found = find_provider({})
    assert isinstance(found, NoProvider)
    assert found.reason == "Terraform 1.9.8 is too old; install 1.10 or newer."


def test_nothing_of_the_caller_s_account_gets_into_the_environment(tmp_path: Path) -> None:
    caller = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_ENDPOINT_URL": "https://example.com",
        "TF_CLI_ARGS_plan": "-destroy",
        "TF_WORKSPACE": "production",
        "TF_CLI_CONFIG_FILE": "/missing.rc",
        "PATH": "/bin",
        "NO_PROXY": "example.com",
    }
    environment = command_environment(Provider(tmp_path / "mirror"), tmp_path / "state", caller)
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "TF_CLI_ARGS_plan", "TF_WORKSPACE"}.isdisjoint(
        environment
    )
    assert (environment["PATH"], environment["CHECKPOINT_DISABLE"]) == ("/bin", "1")
    assert environment["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    configuration = Path(environment["TF_CLI_CONFIG_FILE"])
    assert configuration.is_relative_to(tmp_path / "state")
    assert f"path = {json.dumps(str(tmp_path / 'mirror'))}" in configuration.read_text()


def test_a_failed_command_shows_what_terraform_wrote(tmp_path: Path, bare_machine: Path) -> None:
    program = bare_machine / "terraform"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('Error: no such thing')\n")
    with pytest.raises(terraform.TerraformError, match=r"(?s)terraform plan in .* failed:\nError: no such thing"):
        terraform.run(tmp_path, {"PATH": str(bare_machine)}, "plan")
