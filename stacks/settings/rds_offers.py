"""What RDS offers for PostgreSQL and Aurora: the instance classes of each region, and the versions that it creates.

The data is in `rds_offers.toml`, which `make rds-offers` renews. It is as old as its date: AWS may have added since, so
each refusal names the date and that command.
"""

import datetime as dt
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

POSTGRES: Final = "postgres"
AURORA: Final = "aurora-postgresql"
FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, kw_only=True)
class RdsOffers:
    """The data of one engine, and what is true of RDS in a region for every engine.

    Attributes:
        date: of the data.
        versions: `major.minor`, oldest first.
        sizes: of each family, smallest first, the same wherever the family is offered.
        regions: families, and the classes of families that are there in part only, by region.
        certified_regions: those whose certificate authorities are in the functions' package.

    """

    date: dt.date
    versions: tuple[str, ...]
    sizes: Mapping[str, tuple[str, ...]]
    regions: Mapping[str, frozenset[str]]
    certified_regions: frozenset[str]

    @classmethod
    def read(cls, engine: str) -> Self:
        """Read the data of an engine, as RDS calls it."""
        content = tomllib.loads(FILE.read_text())
        return cls(
            date=content["date"],
            versions=tuple(content[engine]["versions"]),
            sizes={family: tuple(sizes) for family, sizes in content[engine]["sizes"].items()},
            regions={region: frozenset(offered) for region, offered in content[engine]["regions"].items()},
            certified_regions=frozenset(content["certificates"]["regions"]),
        )

    @property
    def as_of(self) -> str:
        """The end of a refusal: how old the data is, and what renews it."""
        return f"as of {self.date}, and `make lock rds-offers` renews the data"

    def has(self, region: str, instance_class: str) -> bool:
        """Return whether a region has a class such as `db.m7g.large`."""
        _, family, size = instance_class.split(".")
        offered = self.regions[region]
        return (family in offered and size in self.sizes[family]) or f"{family}.{size}" in offered

    def classes_like(self, region: str, instance_class: str) -> list[str]:
        """Return a region's classes of the same kind and size, such as all `db.r*.large`, oldest family first."""
        _, kind, size = instance_class.split(".")
        return [
            candidate
            for family in self.sizes
            if family[0] == kind[0] and self.has(region, candidate := f"db.{family}.{size}")
        ]


@functools.cache
def rds_offers(engine: str = POSTGRES) -> RdsOffers:
    """Return the data of an engine, as RDS calls it."""
    return RdsOffers.read(engine)
