"""What the instance is short of."""

from stacks.alarms.metrics import database_metric
from stacks.alarms.model import FIVE_MINUTES_S, MINUTE_S, Alarm, Statistic
from stacks.settings import Settings
from stacks.settings.instance_classes import describe


def instance(settings: Settings) -> tuple[Alarm, ...]:
    """Return the alarms of processor and memory."""
    size = describe(settings.database.instance_class)

    def instance(
        name: str,
        metric: str,
        statistic: str,
        *,
        threshold: float,
        unit: str,
        meaning: str,
        period_s: int = MINUTE_S,
        evaluation_periods: int = 5,
        falls: bool = False,
    ) -> Alarm:
        return Alarm(
            name=name,
            watches=Statistic(metric=database_metric(settings, metric), statistic=statistic),
            period_s=period_s,
            evaluation_periods=evaluation_periods,
            comparison="LessThanThreshold" if falls else "GreaterThanOrEqualToThreshold",
            threshold=threshold,
            unit=unit,
            missing_data="ignore",  # RDS publishes in every period; a gap says nothing new
            severity="ticket",
            meaning=meaning,
        )

    cpu_credits = instance(
        "database-cpu-credits",
        "CPUCreditBalance",
        "Minimum",
        threshold=20,
        unit="credits",
        # "CPU credit metrics are available at a five-minute frequency only":
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
        period_s=FIVE_MINUTES_S,
        # A new instance begins with none, and the smallest of ours earns 24 an hour.
        evaluation_periods=24,
        falls=True,
        meaning="The burstable instance had hardly any CPU credits for two hours; it costs more or gets slower.",
    )
    return (
        instance(
            "database-cpu",
            "CPUUtilization",
            "Average",
            threshold=90,
            unit="%",
            meaning="The database's CPU is nearly used up; statements take longer.",
        ),
        instance(
            "database-load",
            "DBLoad",
            "Average",
            threshold=size.vcpus,
            unit="sessions",
            evaluation_periods=15,
            meaning=f"More sessions are at work than the instance has virtual CPUs ({size.vcpus}); they wait.",
        ),
        instance(
            "database-memory",
            "FreeableMemory",
            "Average",
            threshold=0.05 * size.memory_gib * 1024**3,
            unit="bytes",
            evaluation_periods=15,
            falls=True,
            meaning="Little memory is left for the file cache; reads go to the disk, and the database may restart.",
        ),
        *((cpu_credits,) if size.is_burstable else ()),
        instance(
            "transaction-ids",
            "MaximumUsedTransactionIDs",
            "Average",
            threshold=1_000_000_000,
            unit="transactions",
            evaluation_periods=1,
            meaning="Vacuum does not keep up; at two billion the database refuses every write.",
        ),
    )
