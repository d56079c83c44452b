"""Looks at a database before the first change: what stands in the way of a migration, and what must be known."""

from handlers.migrator.examination.examine import examine_database
from handlers.migrator.examination.finding import ExaminationFinding, refuse
from handlers.migrator.examination.restorable import ADOPTION

__all__ = ["ADOPTION", "ExaminationFinding", "examine_database", "refuse"]
