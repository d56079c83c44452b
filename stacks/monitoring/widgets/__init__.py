"""What the dashboard shows, as data: sections in the order in which the on-call thinks, from users down to the disk.

A graph names the alarms that it explains. Their lines are drawn with the statistic and the period that the alarm
compares, and their thresholds come from the catalogue (`dashboard_body.py`).
"""

from stacks.monitoring.widgets.database import database, proxy, statements, storage
from stacks.monitoring.widgets.model import Section
from stacks.monitoring.widgets.service import functions, messages, progress, users
from stacks.settings import Settings


def sections(settings: Settings, *, api_id: str) -> tuple[Section, ...]:
    """Return the sections from top to bottom."""
    return (
        users(api_id),
        progress(settings),
        functions(settings),
        proxy(settings),
        database(settings),
        storage(settings),
        statements(settings),
        messages(settings),
    )
