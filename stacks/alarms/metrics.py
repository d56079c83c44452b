"""The metrics that are watched or drawn, by who publishes them."""

from stacks.alarms.model import Metric
from stacks.settings import Settings


def log_metric(settings: Settings, name: str) -> Metric:
    """Return a metric that a filter makes of the database's log.

    A filter's metric takes no constant dimension, so the environment is in the namespace.
    """
    return Metric(namespace=f"ScannerDatabase/{settings.environment}", name=name)


def slow_query_metric(settings: Settings) -> Metric:
    """Return the milliseconds of each slow statement."""
    return log_metric(settings, "SlowQueryDuration")


def denied_statement_metric(settings: Settings) -> Metric:
    """Return the number of statements that were refused."""
    return log_metric(settings, "DeniedStatements")


def function_metric(settings: Settings, function: str, name: str) -> Metric:
    """Return a metric that Lambda measures of `migrate`, `refresh` or `status`."""
    return Metric(namespace="AWS/Lambda", name=name, dimensions={"FunctionName": f"{settings.prefix}-{function}"})


def refresh_metric(settings: Settings, name: str) -> Metric:
    """Return a metric that `refresh` writes into its log (EMF)."""
    return Metric(namespace="ScannerDatabase", name=name, dimensions={"service": f"{settings.prefix}-refresh"})


def database_metric(settings: Settings, name: str) -> Metric:
    """Return a metric that RDS measures of the instance."""
    return Metric(namespace="AWS/RDS", name=name, dimensions={"DBInstanceIdentifier": settings.prefix})


def proxy_metric(settings: Settings, name: str) -> Metric:
    """Return a metric that RDS Proxy measures."""
    return Metric(namespace="AWS/RDS", name=name, dimensions={"ProxyName": settings.prefix})


def api_metric(api_id: str, name: str) -> Metric:
    """Return a metric that API Gateway measures."""
    return Metric(namespace="AWS/ApiGateway", name=name, dimensions={"ApiId": api_id})


def schedule_metric(settings: Settings, name: str) -> Metric:
    """Return a metric that EventBridge Scheduler measures of our schedules."""
    return Metric(namespace="AWS/Scheduler", name=name, dimensions={"ScheduleGroup": settings.prefix})


def topic_metric(settings: Settings, topic: str, name: str) -> Metric:
    """Return a metric that SNS measures of the topic `page` or `ticket`."""
    return Metric(namespace="AWS/SNS", name=name, dimensions={"TopicName": f"{settings.prefix}-{topic}"})
