"""The table of list prices, `prices.toml`: USD a unit in a region, and whether the price was verified."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from scannerdb.errors import OperatorError
from stacks.settings.instance_classes import instance_class
from stacks.settings.rds_offers import POSTGRES

PRICES = Path(__file__).with_name("prices.toml")
# The smallest size of a family that is not burstable; larger ones cost in proportion to their virtual CPUs.
FIRST_SIZE = "large"


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of one unit.

    Args:
        usd: a unit.
        unit: its name.
        page: AWS's page that lists it.
        verified: whether a published text quotes it; else it is calculated.
        free: units a month in the free tier.

    """

    usd: float
    unit: str
    page: str
    verified: bool
    free: float

    def times(self, factor: float) -> Self:
        """Return the price of something that costs so many times as much."""
        return replace(self, usd=self.usd * factor)


class Prices:
    """The prices of one region."""

    def __init__(self, table: dict[str, Any], region: str) -> None:
        self.date: str = table["date"].isoformat()
        self.region = region
        self._table = table

    @classmethod
    def of(cls, region: str, path: Path = PRICES) -> Self:
        """Read the table.

        Raises:
            OperatorError: it has no prices of this region.

        """
        table = tomllib.loads(path.read_text())
        if region not in table["regions"]:
            known = ", ".join(table["regions"])
            raise OperatorError(f"{path.name} has no prices of {region}, only of {known}; add a column to the table")
        return cls(table, region)

    def __getitem__(self, name: str) -> Price:
        entry = self._table[name]
        return self._price(entry, entry)

    def instance(self, name: str, engine: str = POSTGRES) -> Price:
        """Return the price of an hour of a database instance in one zone; of Aurora, in Aurora Standard.

        Raises:
            OperatorError: neither the class nor its family is in the table.

        """
        entry = self._table["db_instance_hour" if engine == POSTGRES else "aurora_instance_hour"]
        family, _, _ = name.rpartition(".")
        size = instance_class(name, engine)
        base = name if size.is_burstable else f"{family}.{FIRST_SIZE}"
        if base not in entry["classes"]:
            raise OperatorError(f"{PRICES.name} has no price of {base}; add it from {entry['page']}")
        first = self._price(entry, entry["classes"][base])
        return first.times(size.vcpus / instance_class(base, engine).vcpus)

    def _price(self, entry: dict[str, Any], amounts: dict[str, Any]) -> Price:
        return Price(
            usd=amounts[self.region],
            unit=entry["unit"],
            page=entry["page"],
            verified=self.region not in amounts.get("unverified", ()),
            free=entry.get("free", 0),
        )
