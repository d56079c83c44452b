"""Names of the resources that more than one side addresses."""

MIGRATE = "migrate"
REFRESH = "refresh"
STATUS = "status"
DOCTOR = "doctor"
FUNCTIONS = (MIGRATE, REFRESH, STATUS, DOCTOR)

_PREFIX = "scanner-database-"


def deployment_name(environment: str) -> str:
    """Return how the names of an environment's resources begin, such as `scanner-database-dev`."""
    return f"{_PREFIX}{environment}"


def environment_of(deployment: str) -> str:
    """Return the environment of a `deployment_name`."""
    return deployment.removeprefix(_PREFIX)


def function_name(deployment: str, function: str) -> str:
    """Return the name of one of `FUNCTIONS`, such as `scanner-database-dev-status`."""
    return f"{deployment}-{function}"


def function_log_group(deployment: str, function: str) -> str:
    """Return the log group of one of `FUNCTIONS`."""
    return f"/aws/lambda/{function_name(deployment, function)}"


def access_log_group(deployment: str) -> str:
    """Return the log group of the status API's requests."""
    return f"/aws/apigateway/{deployment}-api"


def database_log_group(database: str, log: str = "postgresql") -> str:
    """Return the log group that RDS writes one of a database's logs to; `database` is an `RdsDatabase` as text."""
    return f"/aws/rds/{database}/{log}"


def release_bucket(deployment: str, account_id: str) -> str:
    """Return the bucket of releases and packages; bucket names are shared by all accounts, so it names the account."""
    return f"{deployment}-releases-{account_id}"
