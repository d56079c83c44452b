"""What each message says, and the addresses of CloudWatch's console that it links."""

from handlers.contract.alarms.model import Alarm, Notice
from stacks.settings import Settings

# The console in the partitions beside `aws`, by how their regions begin: without a host for each region.
_HOSTS = {"us-gov-": "console.amazonaws-us-gov.com", "cn-": "console.amazonaws.cn"}


def description(settings: Settings, told: Alarm | Notice, *, event: str = "") -> str:
    """Return what a message says: the alarm's name, what it means, where to read on and to look, the first command.

    CloudWatch takes 1,024 characters:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html

    Args:
        settings: of the deployment.
        told: the alarm or notice.
        event: a sentence about what happened, where the message has one.

    """
    runbook = f"{settings.alarms.runbook_url}#{told.name}"
    # The tunnel sets SCANNERDB_ENVIRONMENT, so the doctor uses this environment's thresholds.
    first = f"scannerdb tunnel -e {settings.environment} --direct -- scannerdb doctor {told.name}"
    return (
        f"{settings.prefix}-{told.name}: {event}{told.meaning} Runbook: {runbook} "
        f"Dashboard: {dashboard_url(settings)} First (the runbook begins with how to get it): {first}"
    )


def dashboard_url(settings: Settings) -> str:
    """Return the dashboard's address."""
    return console(settings, f"dashboards/dashboard/{settings.prefix}")


def console(settings: Settings, fragment: str) -> str:
    """Return the address of a page of CloudWatch's console."""
    region = settings.region
    elsewhere = (host for beginning, host in _HOSTS.items() if region.startswith(beginning))
    host = next(elsewhere, f"{region}.console.aws.amazon.com")
    return f"https://{host}/cloudwatch/home?region={region}#{fragment}"
