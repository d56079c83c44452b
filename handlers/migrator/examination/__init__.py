"""Looks at a database before the first change: what stands in the way of a migration, and what must be known."""

from handlers.migrator.examination.examine import examine_database
from handlers.migrator.examination.finding import ExaminationFinding, refuse

__all__ = ["ExaminationFinding", "examine_database", "refuse"]
