"""Names the services whose requests are checked, and loads AWS's models of them.

The models lie in a botocore of their own, of which no code runs: `make setup` installs the version in `models.lock`,
`make aws-models` takes the newest. A new service takes one line in `SERVICES`.
"""

import functools
import sys
import threading
from pathlib import Path

from botocore.loaders import Loader
from moto.core.model import ServiceModel
from moto.core.routing import ServiceOperationRouter

MODELS = Path(sys.prefix) / "aws-models" / "botocore" / "data"

# The name that requests are signed for -> the model's folder. Metadata of the models has both (signingName).
SERVICES = {
    "apigateway": "apigatewayv2",
    "ec2": "ec2",
    "events": "events",
    "iam": "iam",
    "kms": "kms",
    "lambda": "lambda",
    "logs": "logs",
    "monitoring": "cloudwatch",
    "rds": "rds",
    "s3": "s3",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "sns": "sns",
    "ssm": "ssm",
    "states": "stepfunctions",
    "sts": "sts",
}
# Two services sign for one name; the path tells them apart.
SHARED = {("s3", "/v20180820/"): "s3control"}

_loading = threading.Lock()


def find_service(signing_name: str, path: str) -> str | None:
    """Return the model's folder for a request that was signed for a service, or `None` when none is mapped."""
    for (name, prefix), service in SHARED.items():
        if name == signing_name and path.startswith(prefix):
            return service
    return SERVICES.get(signing_name)


def service_router(service: str) -> ServiceOperationRouter:
    """Return what finds the operation of a request, by the newest published model.

    Raises:
        FileNotFoundError: the models are not installed.

    """
    # The largest model takes 0.3 s of CPU, and Terraform begins with ten requests at once.
    with _loading:
        return _service_router(service)


def service_model(service: str) -> ServiceModel:
    """Return the newest published model of a service."""
    return service_router(service)._service_model  # noqa: SLF001 - moto gives it no other name


@functools.cache
def _service_router(service: str) -> ServiceOperationRouter:
    return ServiceOperationRouter(ServiceModel(_loader().load_service_model(service, "service-2"), service))


@functools.cache
def _loader() -> Loader:
    if not MODELS.is_dir():
        raise FileNotFoundError(f"AWS's service models are not in {MODELS}; install them with: make setup")
    return Loader(extra_search_paths=[str(MODELS)], include_default_search_paths=False)
