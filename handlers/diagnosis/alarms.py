"""Which checks answer which alarm, and where to look for what the database cannot show."""

from handlers.contract.alarms import TOLD
from handlers.contract.alarms.answers import INSTANCE_LOOK
from handlers.contract.alarms.model import Look
from handlers.diagnosis.checks import CHECKS
from handlers.diagnosis.commands import Commands
from handlers.diagnosis.model import Finding
from handlers.errors import InvalidRequestError


def checks_of(alarm: str | None) -> tuple[str, ...]:
    """Return the names of the checks that answer an alarm; all of them without one.

    Raises:
        InvalidRequestError: there is no such alarm.

    """
    if alarm is None:
        return tuple(CHECKS)
    if alarm not in TOLD:
        raise InvalidRequestError("unknown_alarm", f"alarm {alarm!r} is none of {', '.join(TOLD)}")
    return TOLD[alarm].checks or tuple(CHECKS)


def looks(alarm: str | None, commands: Commands) -> list[Finding]:
    """Return where to look for what the database cannot show of an alarm; nothing where it shows everything."""
    look = TOLD[alarm].look if alarm else None
    return [_finding(look, commands)] if look else []


def look_at_instance(commands: Commands) -> Finding:
    """Return where to look when the database does not answer."""
    return _finding(INSTANCE_LOOK, commands)


def _finding(look: Look, commands: Commands) -> Finding:
    return Finding(check="elsewhere", state="look", value=look.what, next=commands.look(look))
