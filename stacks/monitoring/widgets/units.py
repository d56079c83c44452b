"""The units that people read: seconds in the place of ms and µs, GiB in the place of bytes."""

from dataclasses import dataclass

GIB = 1024**3
MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class DrawnUnit:
    """A unit, and what a value is divided by to be in it."""

    name: str
    divisor: float


def drawn_unit(unit: str) -> DrawnUnit:
    """Return the unit in which values of an alarm's unit are drawn."""
    drawn = {"ms": ("s", 1e3), "µs": ("s", 1e6), "bytes": ("GiB", GIB)}
    name, divisor = drawn.get(unit, (unit, 1))
    return DrawnUnit(name=name, divisor=divisor)
