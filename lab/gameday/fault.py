"""The base class of faults: how to inject one, which alarms it rings, which checks name it, and what ends it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.background import Background
from lab.gameday.on_call import Diagnosis, follow
from lab.gameday.system import System
from lab.gameday.traffic import Schedule

# Alarm -> why it rings too. The composite `outage` follows from each.
Reasons = Mapping[str, str]


@dataclass
class Scene:
    """The parts of the system that a fault may change."""

    system: System
    schedule: Schedule
    background: Background


class Fault(ABC):
    """One fault.

    Attributes:
        name: for the command line and the table.
        title: what is wrong.
        alarm: the alarm that must ring.
        then: alarms that must ring after it, before the doctor is asked.
        follows: paging alarms that may ring too, each with the reason.
        checks: the doctor's checks of which at least one must name the fault.
        states: the states of these checks that name it.
        asks_function: whether the function `doctor` must name it too.
        steady_minutes: how long all alarms must stay quiet afterwards, where one might ring again.

    """

    name: str
    title: str
    alarm: str
    checks: tuple[str, ...]
    then: tuple[str, ...] = ()
    states: tuple[str, ...] = ("warning", "critical")
    follows: ClassVar[Reasons] = {}
    asks_function: bool = False
    steady_minutes: int = 0

    @abstractmethod
    def inject(self, scene: Scene) -> None:
        """Make the fault."""

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """End the fault as the on-call does, by the doctor's commands unless overridden; return what was done."""
        return follow(scene.system, diagnosis.told(self.checks, self.states))

    def clean_up(self, scene: Scene) -> None:  # noqa: B027 - not every fault leaves something
        """Remove what is left of the fault, also when `end` failed."""
