"""Settings: complete files, variables that win, and messages that tell what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import pytest
from pydantic import BaseModel, ValidationError

from stacks import ROOT
from stacks.settings import Settings, SettingsError, environment_files, load_settings, resolve_settings
from stacks.settings.profiles import PROFILES
from tests.support.settings_file import COMPLETE
from tests.support.synthesis import ENVIRONMENTS, run_main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic.fields import FieldInfo

FOLDER = ROOT / "environments"


def message(path: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(path, environ or {})
    return str(refused.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to spoil."""
    path = tmp_path / "dev.toml"
    path.write_text(COMPLETE)
    return path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_shipped_environment_is_valid_and_named_after_its_file(environment: str) -> None:
    settings = load_settings(environment_files(FOLDER)[environment], {})
    assert settings.environment == environment
    assert settings.prefix == f"scanner-database-{environment}"


def test_only_the_local_environment_talks_to_an_emulator() -> None:
    loaded = [load_settings(path, {}) for path in environment_files(FOLDER).values()]
    assert [settings.environment for settings in loaded if settings.aws.endpoint] == ["local"]


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("SCANNER__DATABASE__PORT", "54321", "database", "port", 54321),
        ("SCANNER__DATABASE__MULTI_AZ", "true", "database", "multi_az", True),
        ("SCANNER__DATABASE__ENGINE_VERSION", "17", "database", "engine_version", "17"),
        ("SCANNER__AWS__ENDPOINT", "http://127.0.0.1:4566", "aws", "endpoint", "http://127.0.0.1:4566"),
        ("SCANNER__FUNCTIONS__LOG_RETENTION_DAYS", "7", "functions", "log_retention_days", 7),
        ("SCANNER__ALARMS__RUNBOOK_URL", "https://a.example/r", "alarms", "runbook_url", "https://a.example/r"),
    ],
)
def test_a_variable_overrides_any_value_and_gets_its_type(
    variable: str, text: str, section: str, key: str, value: object
) -> None:
    settings = load_settings(FOLDER / "dev.toml", {variable: text})
    assert getattr(getattr(settings, section), key) == value


@pytest.mark.parametrize("version", ["17", "17.5", "17.11", "18", "18.1", "18.6"])
def test_a_version_that_rds_creates_is_allowed(version: str) -> None:
    settings = load_settings(FOLDER / "dev.toml", {"SCANNER__DATABASE__ENGINE_VERSION": version})
    assert settings.database.engine_version == version


@pytest.mark.parametrize("version", ["15", "16", "17.0", "17.1", "17.4", "17.", "17.99", "18.0", "18.5", "19", "180"])
def test_a_version_that_rds_does_not_create_or_that_is_not_supported_is_refused(version: str) -> None:
    with pytest.raises(SettingsError, match=r'allowed: "17", "18", or a minor version of these that RDS still creates'):
        load_settings(FOLDER / "dev.toml", {"SCANNER__DATABASE__ENGINE_VERSION": version})


def test_settings_cannot_be_changed_after_loading() -> None:
    settings = load_settings(FOLDER / "dev.toml", {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.database.port = 1234  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "multi_az = false",
            'multi_az = "maybe"',
            "database.multi_az = 'maybe' is not allowed; allowed: true or false",
        ),
        (
            "backup_retention_days = 1",
            "backup_retention_days = 99",
            "database.backup_retention_days = 99 is not allowed; allowed: a whole number from 1 to 35",
        ),
        (
            "allocated_storage_gib = 20\n",
            'allocated_storage_gib = "twenty"\n',
            "database.allocated_storage_gib = 'twenty' is not allowed; allowed: a whole number from 20 to 65536",
        ),
        (
            "log_retention_days = 30",
            "log_retention_days = 31",
            "functions.log_retention_days = 31 is not allowed; allowed: a number of days that CloudWatch Logs knows",
        ),
        (
            'region = "eu-central-1"',
            'region = "Frankfurt"',
            "region = 'Frankfurt' is not allowed; allowed: an AWS region",
        ),
        ("multi_az = false\n", "", "database.multi_az is missing; allowed: true or false"),
        (
            "multi_az = false",
            "multi_az = false\nmulti_zone = true",
            "unknown key database.multi_zone; did you mean multi_az? allowed: access_rules, ",
        ),
        ("[schedule]", "[schedul]", "unknown key schedul; did you mean schedule? allowed: alarms, aws, database,"),
        ('region = "eu', 'environment = "prod"\nregion = "eu', "environment follows from the file's name; remove it"),
        (
            '"10.42.1.0/24"',
            '"10.42.0.0/25"',
            "network must have subnet_cidrs that do not overlap; 10.42.0.0/25 overlaps",
        ),
        (
            '"10.42.1.0/24"',
            '"10.9.0.0/24"',
            "network must have subnet_cidrs inside vpc_cidr 10.42.0.0/22; 10.9.0.0/24 is",
        ),
        (
            'vpc_cidr = "10.42.0.0/22"',
            'vpc_cidr = "10.42.0.1/22"',
            "network.vpc_cidr = '10.42.0.1/22' is not allowed (10.42.0.1/22 has host bits set); allowed: an IPv4 range",
        ),
        (
            '"eu-central-1b"',
            '"eu-central-1a"',
            "network must have as many different availability_zones as subnet_cidrs; eu-central-1a, eu-central-1a",
        ),
        (
            '"eu-central-1b"',
            '"us-east-1b"',
            "network.availability_zones = 'us-east-1b' is not allowed (no zone of region eu-central-1); allowed: as",
        ),
        (
            "max_allocated_storage_gib = 100",
            "max_allocated_storage_gib = 21",
            "database must have max_allocated_storage_gib at least a tenth above allocated_storage_gib 20; 21 is not",
        ),
        (
            'path = "terraform',
            'bucket = "abc"\npath = "terraform',
            "state must have exactly one of path and bucket, and",
        ),
    ],
)
def test_a_wrong_value_names_file_key_value_and_what_is_allowed(file: Path, old: str, new: str, expected: str) -> None:
    replace(file, old, new)
    assert message(file).startswith(f"{file}: {expected}")


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        (
            "SCANNER__DATABASE__PORT",
            "80",
            "database.port = '80' is not allowed; allowed: a whole number from 1150 to 65535",
        ),
        ("SCANNER__DATABSE__PORT", "5432", "unknown key databse; did you mean database? allowed: "),
        ("SCANNER__REGION__NAME", "x", "region.name is not a key, because region is a value"),
        ("SCANNER__PROXY__AUTH_MODE", "password", "proxy.auth_mode = 'password' is not allowed; allowed: \"iam\""),
        (
            "SCANNER__FUNCTIONS__CA_BUNDLE",
            "/nowhere.pem",
            "functions.ca_bundle = '/nowhere.pem' is not allowed (no such file); allowed: a PEM file",
        ),
        (
            "SCANNER__RELEASE__MIGRATIONS",
            "/nowhere",
            "release.migrations = '/nowhere' is not allowed (no such folder); allowed: a folder of migrations",
        ),
        ("SCANNER__ALARMS__EMAILS", '["nobody"]', "alarms.emails = 'nobody' is not allowed; allowed: a list of e-mail"),
        ("SCANNER__ENVIRONMENT", "prod", "environment follows from the file's name; remove it"),
    ],
)
def test_a_wrong_variable_is_named_instead_of_the_file(variable: str, text: str, expected: str) -> None:
    assert message(FOLDER / "dev.toml", {variable: text}).startswith(f"{variable}: {expected}")


@pytest.mark.parametrize("text", ["5_433", "\u0665\u0664\u0663\u0663", " 5433", "5433.0", "+5433", "5e3", ""])
@pytest.mark.parametrize("key", ["DATABASE__PORT", "SCHEDULE__RETIRE_OLDER_THAN_DAYS", "FUNCTIONS__LOG_RETENTION_DAYS"])
def test_a_number_in_a_variable_has_the_digits_0_to_9_alone(key: str, text: str) -> None:
    variable = f"SCANNER__{key}"
    assert message(FOLDER / "dev.toml", {variable: text}).startswith(
        f"{variable}: {key.lower().replace('__', '.')} = {text!r} is not allowed; allowed: a "
    )


def test_each_whole_number_is_described_with_its_first() -> None:
    for name, field in numbers(Settings):
        (least,) = (each.ge for each in field.metadata if hasattr(each, "ge"))
        assert re.match(rf"a whole number from {least}\b", field.description or ""), name


def numbers(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields that are whole numbers, in every table."""
    for name, field in model.model_fields.items():
        annotations = (field.annotation, *get_args(field.annotation))
        if int in annotations:
            yield name, field
        for inner in annotations:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from numbers(inner)


@pytest.mark.parametrize(
    ("name", "text", "change", "expected"),
    [
        # Of the table that does not fit, but of no key that matters.
        (
            *("PORT", "5433", ("max_allocated_storage_gib = 100", "max_allocated_storage_gib = 21")),
            "{file}: database must have max_allocated_storage_gib at least",
        ),
        ("MAX_ALLOCATED_STORAGE_GIB", "21", ("", ""), "{variable}: database must have max_allocated_storage_gib"),
        ("PORT", "5433", ("multi_az = false\n", ""), "{file}: database.multi_az is missing"),
        ("PORT", "5433", ("[database]", "[database]\nmulti_zone = 1"), "{file}: unknown key database.multi_zone"),
    ],
)
def test_a_variable_is_blamed_for_its_own_key_only(
    file: Path, name: str, text: str, change: tuple[str, str], expected: str
) -> None:
    replace(file, *change)
    variable = f"SCANNER__DATABASE__{name}"
    assert message(file, {variable: text}).startswith(expected.format(file=file, variable=variable))


def test_a_size_that_does_not_exist_is_told_without_what_it_would_have_set(file: Path) -> None:
    sized(file, "smal")
    assert message(file) == (
        f"{file}: size = 'smal' is not allowed; allowed: "
        '"small", "medium", "large" (an instance) or "huge" (a cluster); sets what the file does not'
    )
    replace(file, "state_machine", "state_machin")
    told = message(file).splitlines()
    assert len(told) == 3
    assert "status_api.state_machine is missing" in told[1]


def test_a_mark_in_front_of_utf_8_is_read_over(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_settings(file, {}).region == "eu-central-1"


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_utf_16_is_named(file: Path, mark: bytes, encoding: str) -> None:
    file.write_bytes(mark + file.read_text().encode(encoding))
    assert message(file) == f"{file} is UTF-16; save it as UTF-8"


def test_latin_1_is_told_with_line_and_byte(file: Path) -> None:
    file.write_bytes(b'# one\n# M\xfcnchen\nregion = "eu-central-1"\n')
    assert message(file) == f"{file}, line 2: the byte 0xfc is not UTF-8; save the file as UTF-8"


def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").mkdir()
    assert message(tmp_path / "dev.toml") == f"{tmp_path}/dev.toml cannot be read: Is a directory"


def test_addresses_are_told_only_with_a_runbook_that_a_mail_can_link() -> None:
    mails = {"SCANNER__ALARMS__EMAILS": '["a@example.com"]'}
    assert "must have runbook_url as an address such as https://" in message(FOLDER / "dev.toml", mails)
    linked = {**mails, "SCANNER__ALARMS__RUNBOOK_URL": "https://git.example.com/runbook.md"}
    assert load_settings(FOLDER / "dev.toml", linked).alarms.emails == ("a@example.com",)


def test_a_broken_list_in_a_variable_is_named() -> None:
    assert message(FOLDER / "dev.toml", {"SCANNER__ALARMS__EMAILS": "[a"}).startswith(
        "SCANNER__ALARMS__EMAILS=[a is not"
    )


def test_every_wrong_value_is_told_at_once(file: Path) -> None:
    replace(file, "multi_az = false", 'multi_az = "maybe"')
    replace(file, "backup_retention_days = 1", "backup_retention_days = 0")
    assert len(message(file, {"SCANNER__DATABASE__PORT": "80"}).splitlines()) == 3


def test_a_missing_file_lists_the_environments_there_are() -> None:
    assert message(FOLDER / "staging.toml").endswith("does not exist; environments here: dev, local, prod")


def test_a_file_that_is_no_toml_is_told_with_its_line(file: Path) -> None:
    file.write_text("region = \nport = 1\n")
    assert re.search(r"dev.toml is not TOML: .*line 1", message(file))


def test_main_prints_the_message_without_a_stack_trace(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as failed:
        run_main("dev", outdir=tmp_path, variables={"SCANNER__DATABASE__PORT": "80"})
    assert str(failed.value) == (
        "SCANNER__DATABASE__PORT: database.port = '80' is not allowed; allowed: a whole number from 1150 to 65535\n"
    )


def test_main_without_a_choice_leaves_out_what_deploys_to_an_emulator(tmp_path: Path) -> None:
    run_main(outdir=tmp_path)
    assert sorted(path.name for path in (tmp_path / "stacks").iterdir()) == ["dev", "prod"]


def test_main_says_so_when_every_environment_would_deploy_to_an_emulator(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="name one in SCANNER_ENVIRONMENTS"):
        run_main(outdir=tmp_path, variables={"SCANNER__AWS__ENDPOINT": "http://127.0.0.1:1"})


def sized(file: Path, size: str) -> None:
    """Leave to the profile what it sets."""
    kept = re.sub(
        r"^(instance_class|\w*allocated_storage_gib|multi_az|backup_retention_days).*\n",
        "",
        file.read_text(),
        flags=re.MULTILINE,
    )
    file.write_text(
        f'size = "{size}"\n{kept}'.replace("refresh_minutes = 5", "").replace("log_retention_days = 30", "")
    )


@pytest.mark.parametrize("size", PROFILES)
def test_a_size_sets_what_the_file_leaves_out(file: Path, size: str) -> None:
    sized(file, size)
    settings = load_settings(file, {})
    for table, values in PROFILES[size].items():
        for key, value in values.items():
            assert getattr(getattr(settings, table), key) == value


def test_file_and_variable_win_over_the_size(file: Path) -> None:
    sized(file, "large")
    replace(file, "[database]", "[database]\nmulti_az = false")
    settings = load_settings(file, {"SCANNER__SCHEDULE__REFRESH_MINUTES": "30"})
    assert (settings.database.multi_az, settings.schedule.refresh_minutes) == (False, 30)
    assert settings.database.instance_class == PROFILES["large"]["database"]["instance_class"]


def test_each_resolved_setting_says_where_it_came_from(file: Path) -> None:
    sized(file, "small")
    resolved = resolve_settings(file, {"SCANNER__DATABASE__PORT": "5433"})
    origins = {key: origin for key, _, origin in resolved}
    assert origins["region"] == str(file)
    assert origins["database.port"] == "SCANNER__DATABASE__PORT"
    assert origins["database.instance_class"] == "size small"
    assert origins["proxy.auth_mode"] == "default"
    assert {key: value for key, value, _ in resolved}["database.port"] == 5433


def test_an_unknown_size_is_refused_with_those_there_are(file: Path) -> None:
    file.write_text('size = "giant"\n' + file.read_text())
    assert (
        message(file)
        == f'{file}: size = \'giant\' is not allowed; allowed: "small", "medium", "large" (an instance) or '
        '"huge" (a cluster); sets what the file does not'
    )


def test_a_value_of_the_profile_that_fits_nothing_else_is_told_with_its_origin(file: Path) -> None:
    sized(file, "small")
    replace(file, "[database]", "[database]\nmax_allocated_storage_gib = 21")
    assert "max_allocated_storage_gib at least a tenth above" in message(file)


def test_an_instance_class_that_is_not_known_is_refused_with_those_that_are(file: Path) -> None:
    replace(file, "db.t4g.small", "db.z9.huge")
    assert "database.instance_class = 'db.z9.huge' is not allowed (has no known family; known: t3, t4g," in message(
        file
    )
