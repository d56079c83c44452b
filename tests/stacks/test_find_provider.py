"""Finding an AWS provider on any machine, and running Terraform without anybody's account."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from scannerdb import terraform
from scannerdb.terraform import NoProvider, Provider, command_environment, find_provider

EXECUTABLE_TERRAFORM = f"""#!{sys.executable}
import json
print(json.dumps({{"terraform_version": "VERSION"}}))
"""


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
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(terraform, "ROOT", tmp_path / "repository")
    monkeypatch.setattr(terraform, "SEARCHED_ROOTS", (str(tmp_path / "searched"),))
    monkeypatch.setattr(terraform, "_registry_answers", lambda: False)
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
    lay_unpacked(tmp_path / "searched", "6.25.0")
    found = find_provider({"SCANNER_PROVIDER_MIRROR": str(tmp_path / "mirror")})
    assert isinstance(found, NoProvider)
    assert f"SCANNER_PROVIDER_MIRROR={tmp_path / 'mirror'} holds no" in found.reason
    assert ">= 5.100.0, < 7.0.0" in found.reason


@pytest.mark.parametrize(
    ("folder", "variable"),
    [
        ("cache", "TF_PLUGIN_CACHE_DIR"),
        ("data/terraform/plugins", "XDG_DATA_HOME"),
        ("data/terraform/plugins", "XDG_DATA_DIRS"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="Terraform on macOS has other implied mirrors")
def test_terraform_s_own_folders_are_looked_into(folder: str, variable: str, tmp_path: Path) -> None:
    lay_unpacked(tmp_path / folder, "6.25.0")
    found = find_provider({variable: str(tmp_path / Path(folder).parts[0])})
    assert found == Provider(tmp_path / folder)


def test_the_mirror_of_the_caller_s_own_configuration_is_used(tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "company", "6.0.0")
    configuration = tmp_path / "their.rc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path / "company"}"\n  }}\n}}\n'
    )
    assert find_provider({"TF_CLI_CONFIG_FILE": str(configuration)}) == Provider(tmp_path / "company")


def test_a_configuration_that_is_named_but_missing_does_no_harm(tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "searched" / "some" / "plugins", "5.100.0")
    found = find_provider({"TF_CLI_CONFIG_FILE": str(tmp_path / "missing.rc")})
    assert found == Provider(tmp_path / "searched" / "some" / "plugins")


def test_the_search_ends_some_levels_down(tmp_path: Path) -> None:
    lay_unpacked(tmp_path / "searched" / "1" / "2" / "3" / "4" / "5" / "6", "5.100.0")
    assert isinstance(find_provider({}), NoProvider)


def test_the_registry_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "_registry_answers", lambda: True)
    assert find_provider({}) == Provider(None)
    lay_unpacked(tmp_path / "searched", "5.100.0")
    assert find_provider({}) == Provider(tmp_path / "searched")


def test_without_mirror_and_registry_the_reason_tells_the_way_out() -> None:
    found = find_provider({})
    assert isinstance(found, NoProvider)
    assert "registry.terraform.io does not answer" in found.reason
    assert "SCANNER_PROVIDER_MIRROR" in found.reason


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


def test_the_registry_s_provider_is_downloaded_once(tmp_path: Path) -> None:
    environment = command_environment(Provider(None), tmp_path / "state", {})
    configuration = Path(environment["TF_CLI_CONFIG_FILE"]).read_text()
    cache = tmp_path / "repository" / "build" / "terraform-plugins"
    assert f"plugin_cache_dir = {json.dumps(str(cache))}" in configuration
    assert cache.is_dir()


def test_a_failed_command_shows_what_terraform_wrote(tmp_path: Path, bare_machine: Path) -> None:
    program = bare_machine / "terraform"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('Error: no such thing')\n")
    with pytest.raises(terraform.TerraformError, match=r"(?s)terraform plan in .* failed:\nError: no such thing"):
        terraform.run(tmp_path, {"PATH": str(bare_machine)}, "plan")
