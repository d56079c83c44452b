"""The function's log and its metrics, as JSON lines that CloudWatch Logs turns into metrics (EMF)."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics

# Service name, namespace and level come from the variables POWERTOOLS_*, which the stack sets.
logger = Logger()
metrics = Metrics()
