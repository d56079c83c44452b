"""The data on what RDS offers is that of the locked packages, and is read as it was written."""

from __future__ import annotations

import datetime as dt

import pytest

from handlers.connection import CERTIFICATES
from stacks.settings.instance_classes import FAMILIES, instance_class
from stacks.settings.rds_offers import AURORA, FILE, POSTGRES, RdsOffers, rds_offers
from tests.support.record_rds_offers import certificates, document


def test_the_file_is_what_the_locked_packages_say() -> None:
    assert FILE.read_text() == document(), "run: make rds-offers"


def test_the_certificates_are_those_of_the_locked_package() -> None:
    assert CERTIFICATES.read_text() == certificates(), "run: make rds-offers"


@pytest.mark.parametrize("engine", [POSTGRES, AURORA])
def test_every_size_that_is_offered_is_known_with_its_memory(engine: str) -> None:
    sizes = rds_offers(engine).sizes
    names = [f"db.{family}.{size}" for family, known in sizes.items() for size in known]
    assert all(instance_class(name, engine).memory_gib for name in names)


def test_aurora_has_the_burstable_and_the_memory_optimised_families_only() -> None:
    assert tuple(rds_offers().sizes) == FAMILIES
    assert tuple(rds_offers(AURORA).sizes) == tuple(family for family in FAMILIES if family[0] in "rt")


@pytest.mark.parametrize(("name", "has"), [("db.m5.large", True), ("db.r5.large", True), ("db.r5.xlarge", False)])
def test_a_region_may_have_a_family_in_part(name: str, *, has: bool) -> None:
    offers = RdsOffers(
        date=dt.date(2026, 1, 1),
        versions=(),
        sizes={"m5": ("large", "xlarge"), "r5": ("large", "xlarge")},
        regions={"eu-central-1": frozenset({"m5", "r5.large"})},
        certified_regions=frozenset(),
    )
    assert offers.has("eu-central-1", name) is has
