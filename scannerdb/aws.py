"""AWS clients for an environment, which may be an emulator, and boto3's errors with the next step."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from scannerdb.errors import OperatorError
from stacks.settings import Settings

LONGEST_INVOCATION_S = 900
CONNECT_TIMEOUT_S = 5


def client(
    settings: Settings, service: str, *, read_timeout_s: float = LONGEST_INVOCATION_S + 10, attempts: int = 1
) -> Any:
    """Return a boto3 client; for an emulator with the credentials `test`, as Terraform's provider uses.

    Args:
        settings: of the environment.
        service: as boto3 names it.
        read_timeout_s: how long to wait for an answer.
        attempts: how often to send a request that fails; more than one only for calls that change nothing.

    Raises:
        OperatorError: the profile of AWS_PROFILE does not exist or cannot be read.

    """
    # Imported here: it takes two thirds of a second, and most commands do not need it.
    from botocore.config import Config  # noqa: PLC0415

    # By default an invocation may take its 900 s, and is not sent a second time.
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        s3={"addressing_style": "path"} if settings.aws.endpoint else {},
    )
    with calling(settings, service):
        return session(settings).client(service, endpoint_url=settings.aws.endpoint, config=config)


def session(settings: Settings) -> Any:
    """Return a boto3 session in the environment's region."""
    import boto3  # noqa: PLC0415

    if settings.aws.endpoint is None:
        return boto3.Session(region_name=settings.region)
    return boto3.Session("test", "test", region_name=settings.region)


def token_variables(settings: Settings) -> dict[str, str]:
    """Return the credentials that boto3 finds, as the variables that `handlers.connection.iam_token` signs with.

    Raises:
        OperatorError: boto3 finds no credentials.

    """
    with calling(settings, "a login token"):
        found = session(settings).get_credentials()
        if found is None:
            raise OperatorError(f"no AWS credentials for {settings.environment}; {_way_in()}")
        frozen = found.get_frozen_credentials()
    variables = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_REGION": settings.region,
    }
    return variables | ({"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {})


@contextlib.contextmanager
def calling(settings: Settings, what: str) -> Iterator[None]:
    """Turn boto3's errors into an `OperatorError` that names the next step.

    Args:
        settings: of the environment.
        what: the subject of the call, such as `the log group /aws/lambda/...`.

    Raises:
        OperatorError: for each error of boto3.

    """
    from botocore.exceptions import (  # noqa: PLC0415
        BotoCoreError,
        ClientError,
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    environment = settings.environment
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise OperatorError(f"no AWS credentials for {environment}: {error}; {_way_in()}") from error
    except (EndpointConnectionError, HTTPClientError) as error:
        if endpoint := settings.aws.endpoint:
            where = f"the emulator of {environment} does not answer at {endpoint}"
            hint = "start it with `python -m lab.demo --keep`, then `source build/local/env`"
            raise OperatorError(f"{where}; {hint}") from error
        raise OperatorError(f"AWS does not answer: {error}") from error
    except ClientError as error:
        said = error.response["Error"]
        if said["Code"] in {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "RequestExpired"}:
            raise OperatorError(f"the AWS credentials are no longer valid: {said['Message']}; {_way_in()}") from error
        if "NotFound" in said["Code"]:
            raise OperatorError(f"{environment} has no {what}: is it deployed? ({said['Message']})") from error
        raise OperatorError(f"AWS refused {what} of {environment}: {said['Code']}, {said['Message']}") from error
    except BotoCoreError as error:  # an unknown profile, an expired login
        raise OperatorError(f"AWS cannot be asked for {what} of {environment}: {error}; {_way_in()}") from error


def _way_in() -> str:
    profile = os.environ.get("AWS_PROFILE")
    return f"log in with `aws sso login{f' --profile {profile}' if profile else ''}`, or set AWS_PROFILE"
