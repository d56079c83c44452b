"""One row of a result: a question, the figures, their ratio within one run, and the goal."""

from dataclasses import dataclass
from typing import Literal

from lab.bench.samples import Spread, short


@dataclass(frozen=True)
class Goal:
    """An upper or lower limit for one number."""

    kind: Literal["at most", "at least"]
    limit: float
    unit: str = ""

    def held_by(self, number: float) -> bool:
        """Return whether a number is within the limit."""
        return number <= self.limit if self.kind == "at most" else number >= self.limit

    def __str__(self) -> str:
        """Return the limit in words."""
        return f"{self.kind} {self.limit:g}{self.unit and ' '}{self.unit}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One row of the table.

    Attributes:
        question: what was asked.
        value: the figures, with their units.
        ratio: of what the question names first to what it names last.
        goal: the limit for the median of `ratio`, or for `judged`.
        judged: the number that `goal` limits, when it is not the ratio.

    """

    question: str
    value: str
    ratio: Spread | None = None
    goal: Goal | None = None
    judged: float | None = None

    @property
    def held(self) -> bool | None:
        """Whether the goal was held; `None` without a goal."""
        if self.goal is None:
            return None
        number = self.ratio.median if self.judged is None and self.ratio else self.judged
        assert number is not None
        return self.goal.held_by(number)

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return question, value, ratio, goal, and held or missed."""
        verdict = {None: "", True: "held", False: "**missed**"}[self.held]
        return self.question, self.value, str(self.ratio or ""), str(self.goal or ""), verdict


def drift_answer(drifted: int) -> Answer:
    """Say how many jobs differ from a full count at the end of a run, which none may."""
    goal = Goal("at most", 0, "jobs")
    return Answer(question="drift after all of this", value=f"{drifted} jobs", goal=goal, judged=float(drifted))


def milliseconds(spread: Spread) -> str:
    """Return the median as text."""
    return f"{short(spread.median)} ms"
