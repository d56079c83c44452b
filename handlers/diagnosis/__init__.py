"""Finds what is wrong with the database, why it matters, and the next command. Changes nothing.

The checks are grouped by what they look at: `sessions`, `job_progress`, `triggers`, `tables`, `plans`, `storage`,
`rights`, each with its named queries beside it. `scannerdb doctor` and the function `doctor` run them.
"""

from handlers.diagnosis.alarms import checks_of, looks
from handlers.diagnosis.checks import CHECKS
from handlers.diagnosis.commands import Commands
from handlers.diagnosis.examine import examine
from handlers.diagnosis.model import STATES, Finding, overall, worst_first

__all__ = [
    "CHECKS",
    "STATES",
    "Commands",
    "Finding",
    "checks_of",
    "examine",
    "looks",
    "overall",
    "worst_first",
]
