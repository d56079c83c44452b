"""The environment variables of the functions: set by stacks/, and outside Lambda by the shell."""

from collections.abc import Mapping

from handlers.contract.events import ReleaseEvent

# Host of RDS Proxy, or host:port.
RDS_PROXY_ENDPOINT = "RDS_PROXY_ENDPOINT"
# Host of the database itself, for `migrate` and `doctor`.
RDS_ENDPOINT = "RDS_ENDPOINT"
# Port of either, where the endpoint names none; 5432 without it.
RDS_PORT = "RDS_PORT"
RDS_DBNAME = "RDS_DBNAME"
# The role that logs in.
RDS_USERNAME = "RDS_USERNAME"
# Its password, outside Lambda only; in Lambda an IAM token takes its place.
RDS_PASSWORD = "RDS_PASSWORD"  # noqa: S105 - the variable's name
# A PEM file of certificate authorities, in place of those in the package.
RDS_CA_BUNDLE = "RDS_CA_BUNDLE"

# ARN of the secret in which RDS keeps the owner's name and password, for `migrate`.
MASTER_SECRET_ARN = "MASTER_SECRET_ARN"  # noqa: S105 - the variable's name

# For `doctor`: its thresholds as JSON, how the names of the deployment's resources begin, and an `RdsDatabase` as text.
DOCTOR_LIMITS = "DOCTOR_LIMITS"
DEPLOYMENT = "DEPLOYMENT"
DATABASE = "DATABASE"

# For `migrate` and `doctor` on an instance that exists: `ExpectedParameters` as text.
EXPECTED_PARAMETERS = "EXPECTED_PARAMETERS"

# How often `refresh` runs, for `status`; without it an answer does not say when the next refresh comes.
REFRESH_MINUTES = "REFRESH_MINUTES"

# The function's name, the namespace of its metrics, and its level of logging, for Powertools.
POWERTOOLS_SERVICE_NAME = "POWERTOOLS_SERVICE_NAME"
POWERTOOLS_METRICS_NAMESPACE = "POWERTOOLS_METRICS_NAMESPACE"
POWERTOOLS_LOG_LEVEL = "POWERTOOLS_LOG_LEVEL"


def release_variables(event: ReleaseEvent) -> dict[str, str]:
    """Return the variables that tell `doctor` which release is deployed: the keys of the event in upper case."""
    return {name.upper(): str(value) for name, value in event.items()}


def release_event(environ: Mapping[str, str]) -> ReleaseEvent:
    """Return the release that the variables name.

    Raises:
        KeyError: one of them is not set.

    """
    return ReleaseEvent(
        release_bucket=environ["RELEASE_BUCKET"],
        release_key=environ["RELEASE_KEY"],
        release_sha256=environ["RELEASE_SHA256"],
    )
