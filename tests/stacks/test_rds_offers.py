"""The data on what RDS offers is that of the locked packages, and is read as it was written."""

from __future__ import annotations

import datetime as dt

import pytest

from handlers.connection import CERTIFICATES
from stacks.settings.instance_classes import FAMILIES, instance_class
from stacks.settings.rds_offers import FILE, RdsOffers, rds_offers
from tests.support.record_rds_offers import certificates, document


def test_the_file_is_what_the_locked_packages_say() -> None:
    assert FILE.read_text() == document(), "run: make rds-offers"


def test_the_certificates_are_those_of_the_locked_package() -> None:
    assert CERTIFICATES.read_text() == certificates(), "run: make rds-offers"


def test_every_size_that_is_offered_is_known_with_its_memory() -> None:
    sizes = rds_offers().sizes
    assert tuple(sizes) == FAMILIES
    assert all(instance_class(f"db.{family}.{size}").memory_gib for family, known in sizes.items() for size in known)


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
