"""The table of alarms in the runbook. `make runbook` renews it, so no threshold is written there by hand."""

import re
from pathlib import Path

from handlers.contract.alarms.messages import NOTICES, OUTAGE
from handlers.contract.alarms.model import DAY_S, HOUR_S, MINUTE_S, Alarm, Statistic
from stacks import ROOT
from stacks.alarms import catalogue
from stacks.settings import Settings, load_settings

RUNBOOK = ROOT / "docs" / "runbook.md"
# The deployment whose pages wake the on-call.
ENVIRONMENT = "prod"
MARKS = ("<!-- alarms: written by `make runbook` -->", "<!-- end of alarms -->")
SIGNS = {
    "GreaterThanOrEqualToThreshold": "≥",
    "GreaterThanThreshold": ">",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "≤",
}
PERIODS = {"d": DAY_S, "h": HOUR_S, "min": MINUTE_S}
SEVERITIES = ("page", "ticket")
# The same deployment as a cluster.
AS_A_CLUSTER = {"SCANNER__SIZE": "huge"}
HEAD = ("| | alarm | rings when |", "|---|---|---|")


def table(settings: Settings) -> str:
    """Return the alarms of a deployment in Markdown, pages first."""
    rows = [
        *HEAD,
        *_rows(settings).values(),
        f"| page | [{OUTAGE.name}](#{OUTAGE.name}) | any of the alarms above that page rings |",
        *(f"| ticket | [{notice.name}](#{notice.name}) | AWS announces it |" for notice in NOTICES),
    ]
    return "\n".join(rows)


def difference(settings: Settings, cluster: Settings) -> str:
    """Return the alarms that a cluster has in the place of others, or with another threshold."""
    ours, others = _rows(settings), _rows(cluster)
    gone = ", ".join(f"[{name}](#{name})" for name in ours if name not in others)
    return "\n".join(
        [
            f'On a cluster (`size = "{cluster.size}"`) these differ, and these are not there: {gone}.\n',
            *HEAD,
            *(row for name, row in others.items() if row != ours.get(name)),
        ]
    )


def _rows(settings: Settings) -> dict[str, str]:
    """Return the row of each alarm by its name, pages first."""
    alarms = sorted(catalogue(settings), key=lambda alarm: SEVERITIES.index(alarm.severity))
    return {
        alarm.name: f"| {alarm.severity} | [{alarm.name}](#{alarm.name}) | {condition(alarm)} |" for alarm in alarms
    }


def condition(alarm: Alarm) -> str:
    """Return in words when an alarm rings."""
    if isinstance(alarm.watches, Statistic):
        value = f"{alarm.watches.statistic} of `{alarm.watches.metric.name}`"
    else:
        value = alarm.watches.label
    periods = alarm.datapoints_to_alarm or alarm.evaluation_periods
    of = f" of {alarm.evaluation_periods}" if periods < alarm.evaluation_periods else ""
    period = _period(alarm.period_s)
    during = f"in {period}" if alarm.evaluation_periods == 1 else f"in {periods}{of} times {period}"
    return f"{value} {SIGNS[alarm.comparison]} {_amount(alarm.threshold, alarm.unit)} {during}"


def _period(seconds: int) -> str:
    amount, unit = next((seconds // size, unit) for unit, size in PERIODS.items() if not seconds % size)
    return f"{amount} {unit}"


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1024**4:,.3g} TiB" if value >= 1024**4 else f"{value / 1024**3:,.2g} GiB"
    return f"{int(value) if value == int(value) else value:,} {unit}"


def renewed(runbook: str) -> str:
    """Return the runbook's text with the table as it is now.

    Raises:
        ValueError: the marks around the table are gone.

    """
    begin, end = MARKS
    if not re.search(f"{re.escape(begin)}.*{re.escape(end)}", runbook, re.DOTALL):
        raise ValueError(f"{RUNBOOK} has lost its marks {begin!r} and {end!r}; put them around the table of alarms")
    before, _, rest = runbook.partition(begin)
    file = ROOT / "environments" / f"{ENVIRONMENT}.toml"
    settings, cluster = load_settings(file, {}), load_settings(file, AS_A_CLUSTER)
    shown = f"{table(settings)}\n\n{difference(settings, cluster)}"
    return f"{before}{begin}\n\n{shown}\n\n{end}{rest.partition(end)[2]}"


def main(path: Path = RUNBOOK) -> None:
    """Renew the table in the runbook."""
    path.write_text(renewed(path.read_text()))


if __name__ == "__main__":
    main()
