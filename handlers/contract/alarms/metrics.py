"""The metrics that are watched or drawn, by who publishes them. `Metric.of` completes them for a deployment."""

from handlers.contract.alarms.model import Metric


def _log_metric(name: str) -> Metric:
    # A metric filter allows no constant dimension, so the environment is in the namespace.
    return Metric(namespace="ScannerDatabase/{deployment.environment}", name=name)


# Made by filters of the database's log: the milliseconds of each slow statement, the number of refused statements.
SLOW_QUERIES = _log_metric("SlowQueryDuration")
DENIED_STATEMENTS = _log_metric("DeniedStatements")


def function_metric(function: str, name: str) -> Metric:
    """Return a metric that Lambda publishes of a function."""
    return Metric(namespace="AWS/Lambda", name=name, dimensions={"FunctionName": f"{{deployment.prefix}}-{function}"})


def refresh_metric(name: str) -> Metric:
    """Return a metric that `refresh` writes into its log (EMF)."""
    return Metric(namespace="ScannerDatabase", name=name, dimensions={"service": "{deployment.prefix}-refresh"})


def database_metric(name: str) -> Metric:
    """Return a metric that RDS publishes of the instance."""
    return Metric(namespace="AWS/RDS", name=name, dimensions={"DBInstanceIdentifier": "{deployment.prefix}"})


def proxy_metric(name: str) -> Metric:
    """Return a metric that RDS Proxy publishes."""
    return Metric(namespace="AWS/RDS", name=name, dimensions={"ProxyName": "{deployment.prefix}"})


def api_metric(name: str) -> Metric:
    """Return a metric that API Gateway publishes."""
    return Metric(namespace="AWS/ApiGateway", name=name, dimensions={"ApiId": "{deployment.api_id}"})


def schedule_metric(name: str) -> Metric:
    """Return a metric that EventBridge Scheduler publishes of our schedules."""
    return Metric(namespace="AWS/Scheduler", name=name, dimensions={"ScheduleGroup": "{deployment.prefix}"})


def topic_metric(topic: str, name: str) -> Metric:
    """Return a metric that SNS publishes of the topic `page` or `ticket`."""
    return Metric(namespace="AWS/SNS", name=name, dimensions={"TopicName": f"{{deployment.prefix}}-{topic}"})
