"""Tells what is wrong with the database, why it matters, and the next command; changes nothing.

The checks are grouped by what they look at: `sessions`, `progress`, `plans`, `storage`, `rights`, each with its named
queries beside it. `scannerdb doctor` and the function `doctor` are two ways to it.
"""

from handlers.diagnosis.alarms import ALARMS, HINTS, checks_of, hint
from handlers.diagnosis.checks import CHECKS
from handlers.diagnosis.commands import Commands
from handlers.diagnosis.examine import examine
from handlers.diagnosis.model import STATES, Finding, Limits, overall

__all__ = [
    "ALARMS",
    "CHECKS",
    "HINTS",
    "STATES",
    "Commands",
    "Finding",
    "Limits",
    "checks_of",
    "examine",
    "hint",
    "overall",
]
