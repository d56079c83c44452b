"""The metrics that are watched or drawn, by who publishes them. `Deployment.complete` fills in the names."""

from handlers.contract import metrics, names
from handlers.contract.alarms.model import Metric


def _log_metric(name: str) -> Metric:
    return Metric(namespace=metrics.log_filter_namespace("{deployment.environment}"), name=name)


# Made by filters of the database's log: the milliseconds of each slow statement, the number of refused statements.
SLOW_QUERIES = _log_metric(metrics.SLOW_QUERY_DURATION)
DENIED_STATEMENTS = _log_metric(metrics.DENIED_STATEMENTS)


def _function(function: str) -> str:
    return names.function_name("{deployment.prefix}", function)


def function_metric(function: str, name: str) -> Metric:
    """Return a metric that Lambda publishes of a function."""
    return Metric(namespace="AWS/Lambda", name=name, dimensions={"FunctionName": _function(function)})


def refresh_metric(name: str) -> Metric:
    """Return a metric that `refresh` writes into its log (EMF)."""
    return Metric(namespace=metrics.NAMESPACE, name=name, dimensions={"service": _function(names.REFRESH)})


def database_metric(name: str) -> Metric:
    """Return a metric that RDS publishes of the instance, or of the cluster's writer, whichever instance that is."""
    return Metric(
        namespace="AWS/RDS",
        name=name,
        dimensions={
            "{deployment.database.facts.metrics_by}": "{deployment.database.identifier}",
            "Role": "{deployment.database.facts.role}",
        },
    )


def volume_metric(name: str) -> Metric:
    """Return a metric that RDS publishes of the volume that the instances of a cluster share."""
    return Metric(
        namespace="AWS/RDS", name=name, dimensions={"DBClusterIdentifier": "{deployment.database.identifier}"}
    )


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
