"""What an examination finds, and the refusal."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from handlers.errors import UnfitDatabaseError


@dataclass(frozen=True, kw_only=True)
class ExaminationFinding:
    """One thing that was found before the first change.

    Attributes:
        check: the name of the check.
        subject: the thing, such as `public.job_objects.job_id`.
        value: what was seen.
        why: why it matters.
        way_out: a statement, a command, or who can change it.
        refuses: whether `migrate` refuses because of it.

    """

    check: str
    subject: str
    value: str
    why: str
    way_out: str
    refuses: bool

    def fields(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.subject}: {self.value}. {self.why} Next: {self.way_out}"


def refuse(findings: Iterable[ExaminationFinding]) -> None:
    """Refuse the migration where a finding does.

    Raises:
        UnfitDatabaseError: lists each that does.

    """
    if refusing := [str(finding) for finding in findings if finding.refuses]:
        raise UnfitDatabaseError(
            "\n- ".join(["nothing was changed, because this database cannot be migrated as it is:", *refusing])
        )
