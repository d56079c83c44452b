"""What AWS refuses, the settings refuse before anything is synthesised, and say what would be taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from stacks import ROOT
from stacks.settings import Settings, SettingsError, load_settings
from stacks.settings.alarms import LONGEST_RUNBOOK_URL
from stacks.settings.environment_name import LONGEST_ENVIRONMENT_NAME
from stacks.settings.profiles import PROFILES
from stacks.settings.subnet_addresses import ENDPOINTS
from tests.support.settings_file import COMPLETE, without_storage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.synthesis import Synthesised

DEV = ROOT / "environments" / "dev.toml"


def load(**variables: Any) -> Settings:
    """Load dev with `DATABASE__PORT=5433` and the like."""
    return load_settings(
        DEV,
        {
            f"SCANNER__{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in variables.items()
        },
    )


def refusal(**variables: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load(**variables)
    return str(refused.value)


def in_region(region: str, **variables: Any) -> dict[str, Any]:
    return {"REGION": region, "NETWORK__AVAILABILITY_ZONES": [f"{region}a", f"{region}b"], **variables}


def tagged(tmp_path: Path, tags: dict[str, str]) -> Settings:
    file = tmp_path / "tagged.toml"
    table = "".join(
        f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in tags.items()
    )
    file.write_text(COMPLETE.replace('owner = "platform-team"\n', table))
    return load_settings(file, {})


# Tags


@pytest.mark.parametrize(
    "tags",
    [
        {"owner": "platform team"},
        {"n" * 128: "v" * 256},
        {"Größe_1.0:/=+-@": "größte _.:/=+-@"},
        {"費用": "部門 2"},
        {"empty": ""},
        {f"name-{number}": "" for number in range(8)},
    ],
)
def test_tags_that_every_service_takes_are_allowed(tmp_path: Path, tags: dict[str, str]) -> None:
    assert tagged(tmp_path, tags).tags == tags


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"": "x"}, "'' has 0 characters; a name has 1 to 128"),
        ({"n" * 129: "x"}, "has 129 characters; a name has 1 to 128"),
        ({"owner": "v" * 257}, "the value of owner has 257 characters; a value has 256 at most"),
        ({"cost,center": "x"}, "'cost,center' of 'cost,center' contains ','"),
        ({"owner": "a;b"}, "'a;b' of 'owner' contains ';'"),
        ({"owner": "${aws_kms_key.x}"}, "contains '$'"),
        ({"owner": "a\nb"}, "contains '\\n'"),
        ({"owner": "🙂"}, "contains '🙂'"),
        ({"aws:owner": "x"}, "begins with aws:, which AWS reserves"),
        ({"AWS:owner": "x"}, "begins with aws:, which AWS reserves"),
        ({"owner": "aws:x"}, "begins with aws:, which AWS reserves"),
        ({"owner": "x", "Owner": "y"}, "'Owner' is 'owner' but for its case, as is 'owner'"),
        ({"Owner": "x", "OWNER": "y"}, "'OWNER' is 'owner' but for its case, as is 'Owner'"),
        ({"environment": "x"}, "'environment' is 'environment' but for its case, which the stack sets"),
        ({"Application": "x"}, "'Application' is 'application' but for its case, which the stack sets"),
        (
            {f"name-{number}": "" for number in range(9)},
            "has 9 tags; an S3 object takes 10, and application and environment are set by the stack: leave 8 at most",
        ),
    ],
)
def test_a_tag_that_some_service_refuses_is_refused(tmp_path: Path, tags: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        tagged(tmp_path, tags)
    assert expected in str(refused.value)


# Names


@pytest.mark.parametrize("name", ["a", "eu-prod-2", "n" * LONGEST_ENVIRONMENT_NAME])
def test_an_environment_whose_names_aws_takes_is_allowed(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.toml"
    file.write_text(COMPLETE)
    assert load_settings(file, {}).environment == name


@pytest.mark.parametrize("name", ["a--b", "prod-", "2prod", "Prod", "pro_d", "n" * (LONGEST_ENVIRONMENT_NAME + 1)])
def test_an_environment_whose_names_aws_refuses_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.toml"
    file.write_text(COMPLETE)
    with pytest.raises(SettingsError, match="lower case letters, digits and single dashes between them"):
        load_settings(file, {})


@pytest.mark.parametrize("bucket", ["states", "my.states-2"])
def test_a_bucket_s_name_that_s3_takes_is_allowed(tmp_path: Path, bucket: str) -> None:
    file = tmp_path / "dev.toml"
    file.write_text(COMPLETE.replace('path = "terraform.dev.tfstate"', f'bucket = "{bucket}"'))
    assert load_settings(file, {}).state.bucket == bucket


@pytest.mark.parametrize("bucket", ["ab", "a..b", "states-", ".states", "s" * 64, "States"])
def test_a_bucket_s_name_that_s3_refuses_is_refused(tmp_path: Path, bucket: str) -> None:
    file = tmp_path / "dev.toml"
    file.write_text(COMPLETE.replace('path = "terraform.dev.tfstate"', f'bucket = "{bucket}"'))
    with pytest.raises(SettingsError, match="allowed: an S3 bucket's name"):
        load_settings(file, {})


@pytest.mark.parametrize("variable", ["STATE__PATH", "ALARMS__RUNBOOK_URL", "STATUS_API__STATE_MACHINE"])
@pytest.mark.parametrize("text", ["a${b}", "a%{b}"])
def test_a_text_that_terraform_would_evaluate_is_refused(variable: str, text: str) -> None:
    refusal(**{variable: text})
    assert "which begins an expression of Terraform" in refusal(STATE__PATH=text)


# Regions and classes


@pytest.mark.parametrize("size", PROFILES)
@pytest.mark.parametrize(
    ("region", "without"),
    [
        ("eu-central-1", ()),
        ("us-east-1", ()),
        ("eu-west-3", ("large",)),
        ("af-south-1", ("medium", "large")),
        ("ap-southeast-4", ("large", "huge")),
        ("me-central-1", ("large",)),
        ("ap-east-1", ("medium",)),
        ("eu-south-1", ("medium",)),
    ],
)
def test_a_region_without_the_class_of_a_size_is_refused_with_classes_that_it_has(
    tmp_path: Path, size: str, region: str, without: tuple[str, ...]
) -> None:
    file = tmp_path / "dev.toml"
    text = without_storage(COMPLETE).replace("eu-central-1", region).replace('instance_class = "db.t4g.small"\n', "")
    file.write_text(f'size = "{size}"\n{text}')
    name = PROFILES[size]["database"]["instance_class"]
    if size not in without:
        assert load_settings(file, {}).database.instance_class == name
        return
    with pytest.raises(SettingsError) as refused:
        load_settings(file, {})
    assert str(refused.value).startswith(
        f"size {size}: database.instance_class = '{name}' is not allowed (RDS does not offer it in {region}; of its "
        "kind and size it offers db."
    )
    assert "as of 2026-10-20, and `make lock rds-offers` renews the data" in str(refused.value)


# From AWS's table of instance classes: these sizes were never made of these families.
NOWHERE = (
    *(f"db.{family}.48xlarge" for family in ("m5", "m6i", "r5", "r6i")),
    *(f"db.{family}.{size}" for family in ("m6g", "m7g", "r6g", "r7g") for size in ("24xlarge", "48xlarge")),
)


@pytest.mark.parametrize("name", NOWHERE)
def test_a_class_that_exists_in_no_region_is_refused_with_the_sizes_of_its_family(name: str) -> None:
    family = name.split(".")[1]
    assert f"'{name}' is not allowed (exists in no region; sizes of {family}: large, xlarge, " in refusal(
        DATABASE__INSTANCE_CLASS=name
    )


@pytest.mark.parametrize("name", ["db.m5.24xlarge", "db.r6i.32xlarge", "db.m7i.48xlarge", "db.t4g.micro"])
def test_a_class_that_exists_is_allowed(name: str) -> None:
    assert load(DATABASE__INSTANCE_CLASS=name).database.instance_class == name


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-gov-west-1", "GovCloud"),
        ("us-gov-east-1", "GovCloud"),
        ("cn-north-1", "China"),
        ("cn-northwest-1", "China"),
    ],
)
def test_a_region_of_another_partition_is_refused_with_the_reason(region: str, partition: str) -> None:
    told = refusal(**in_region(region))
    assert (
        f"region = '{region}' is not allowed ({partition} is a partition of its own, which is not supported: " in told
    )


def test_a_region_that_rds_does_not_know_is_refused() -> None:
    told = refusal(**in_region("eu-central-9"))
    assert (
        "(RDS offers postgres in no such region, as of 2026-10-20, and `make lock rds-offers` renews the data)" in told
    )


def test_a_region_whose_authorities_the_package_lacks_needs_a_file_of_them(tmp_path: Path) -> None:
    region = in_region("il-central-1")
    assert "set functions.ca_bundle to a PEM file with those of https://truststore.pki.rds" in refusal(**region)
    bundle = tmp_path / "authorities.pem"
    bundle.touch()
    assert load(**region, FUNCTIONS__CA_BUNDLE=str(bundle)).region == "il-central-1"


# Network


@pytest.mark.parametrize("zone", ["eu-central-1", "eu-central-1aa", "eu-central-11a", "eu-central-1-ham-1a"])
def test_what_is_no_zone_of_the_region_is_refused(zone: str) -> None:
    told = refusal(NETWORK__AVAILABILITY_ZONES=["eu-central-1a", zone])
    assert f"network.availability_zones = '{zone}' is not allowed (no zone of region eu-central-1)" in told


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.42.0.0/15", "10.42.0.0/29"])
def test_a_network_larger_or_smaller_than_a_vpc_is_refused(cidr: str) -> None:
    told = refusal(NETWORK__VPC_CIDR=cidr)
    assert f"network.vpc_cidr = '{cidr}' is not allowed (a VPC has neither more than 65536 addresses nor" in told


@pytest.mark.parametrize(
    ("instance_class", "enough", "too_small", "needed"),
    [
        ("db.t4g.small", 27, 28, 26),
        ("db.r7g.2xlarge", 27, 28, 31),
        ("db.r7g.4xlarge", 26, 27, 41),
        ("db.r7g.8xlarge", 26, 27, 61),
        ("db.r7g.12xlarge", 25, 26, 76),
        ("db.m5.24xlarge", 25, 26, 126),
        ("db.r7i.48xlarge", 24, 25, 231),
    ],
)
def test_a_subnet_holds_what_lies_in_it(instance_class: str, enough: int, too_small: int, needed: int) -> None:
    def subnets(prefix: int) -> dict[str, Any]:
        cidrs = [f"10.42.0.0/{prefix}", "10.42.2.0/24"]
        return {"NETWORK__SUBNET_CIDRS": cidrs, "DATABASE__INSTANCE_CLASS": instance_class}

    assert load(**subnets(enough))
    told = refusal(**subnets(too_small))
    assert f"(with {instance_class} each subnet needs {needed} addresses, for the proxy, functions, " in told
    assert f"make it /{enough} or larger)" in told


def test_the_endpoints_that_take_addresses_are_those_of_the_stack(prod: Synthesised) -> None:
    endpoints = [each for each in prod.every("aws_vpc_endpoint").values() if each["vpc_endpoint_type"] == "Interface"]
    assert len(endpoints) == ENDPOINTS


# Alarms


def test_an_address_that_is_there_twice_is_refused() -> None:
    told = refusal(
        ALARMS__EMAILS=["a@example.com", "b@example.com", "A@example.com"], ALARMS__RUNBOOK_URL="https://a.example/r"
    )
    assert "(A@example.com, a@example.com is there more than once)" in told


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://a.example/runbook#top", "contains '#'; alarms append their own fragment"),
        ("https://a.example/our runbook", "contains ' '"),
        ("https://a.example/<runbook>", "contains '<'"),
        (f"https://a.example/{'r' * LONGEST_RUNBOOK_URL}", f"of up to {LONGEST_RUNBOOK_URL} characters"),
    ],
)
def test_a_runbook_address_that_alarms_cannot_complete_is_refused(url: str, reason: str) -> None:
    assert reason in refusal(ALARMS__RUNBOOK_URL=url)


def test_logs_are_kept_for_ten_years() -> None:
    assert load(FUNCTIONS__LOG_RETENTION_DAYS="3653").functions.log_retention_days == 3653
