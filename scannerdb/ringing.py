"""Which alarms ring, as CloudWatch says."""

from collections.abc import Iterator, Mapping
from typing import Any

from handlers.contract.alarms import TOLD
from handlers.contract.alarms.messages import OUTAGE
from handlers.contract.alarms.model import AlarmRecord
from handlers.diagnosis import Finding
from scannerdb.aws import calling, client
from scannerdb.errors import OperatorError
from stacks.settings import Settings

CHECK = "alarms"


def ringing(settings: Settings) -> list[Finding]:
    """Return a finding for each alarm of the environment that rings, those that page first, then the oldest first.

    Where CloudWatch cannot be asked, the one finding has the reason.
    """
    prefix = f"{settings.prefix}-"
    try:
        cloudwatch = client(settings, "cloudwatch", attempts=3)
        with calling(settings, "the alarms"):
            pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix, StateValue="ALARM")
            alarms = {
                alarm["AlarmName"].removeprefix(prefix): alarm for page in pages for alarm in page["MetricAlarms"]
            }
    except OperatorError as error:
        return [Finding(check=CHECK, state="unknown", value=f"which alarms ring is not known: {error.message}")]
    return list(_findings(settings, alarms)) or [Finding(check=CHECK, state="ok", value="none rings")]


def _findings(settings: Settings, alarms: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for name, alarm in sorted(alarms.items(), key=lambda each: (not _pages(each[0]), each[1]["StateUpdatedTimestamp"])):
        severity = "page" if _pages(name) else "ticket"
        yield Finding(
            check=CHECK,
            state="look",
            value=f"{name} ({severity}) rings since {alarm['StateUpdatedTimestamp']:%H:%M %Z}: {alarm['StateReason']}",
            next=f"scannerdb doctor {name} -e {settings.environment}" if name in TOLD else "",
        )


def _pages(name: str) -> bool:
    told = TOLD.get(name)
    return told is OUTAGE or (isinstance(told, AlarmRecord) and told.severity == "page")
