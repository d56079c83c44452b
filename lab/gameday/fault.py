"""What a fault is: how it is made, what must ring, what may follow, what the doctor calls it, and what ends it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.gameday.on_call import Diagnosis, follow
from lab.gameday.system import System
from lab.gameday.traffic import Background, Schedule

# Alarm -> why it is true that it rings too. `outage` follows from each of them.
Reasons = Mapping[str, str]


@dataclass
class Scene:
    """What a fault may touch."""

    system: System
    schedule: Schedule
    background: Background


class Fault(ABC):
    """One fault.

    Attributes:
        name: for the command line and the table.
        title: what is wrong, for people.
        alarm: what must ring.
        then: what must ring after it, before anybody does anything.
        follows: alarms that wake somebody and may ring too, because it is true, each with the reason.
        checks: the names of the doctor's checks that may tell it; one of them must.
        states: the states that tell it.
        steady_minutes: for how long all must be quiet then, where an alarm might come back.

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
        """Break it."""

    def end(self, scene: Scene, diagnosis: Diagnosis) -> list[str]:
        """End it as the on-call does, and return what was done: the doctor's own commands, unless overridden."""
        return follow(scene.system, diagnosis.told(self.checks, self.states))

    def clean_up(self, scene: Scene) -> None:  # noqa: B027 - not every fault leaves something
        """Leave nothing behind, also when the commands did not end it."""
