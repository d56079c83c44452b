"""Clients of AWS for an environment: its region, its emulator if it has one, and errors that say what to do."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from scannerdb.errors import OperatorError
from stacks.settings import Settings

LONGEST_INVOCATION_S = 900


def client(settings: Settings, service: str) -> Any:
    """Return a boto3 client; an emulator gets credentials that are none, as the provider gives it.

    Raises:
        OperatorError: there is no such profile, or none that can be read.

    """
    # Two thirds of a second, which most commands do not need.
    from botocore.config import Config  # noqa: PLC0415

    # A function may take that long, and nothing is asked for twice behind the operator's back.
    config = Config(
        connect_timeout=5,
        read_timeout=LONGEST_INVOCATION_S + 10,
        retries={"total_max_attempts": 1},
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
    """Return the variables that `handlers.connection.iam_token` signs with, from wherever boto3 finds credentials.

    Raises:
        OperatorError: there are no credentials.

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
    """Tell the errors of boto3 in this project's words.

    Args:
        settings: of the environment that is asked.
        what: is asked for, such as `the log group /aws/lambda/...`.

    Raises:
        OperatorError: instead of any of them.

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
            hint = "start it with `python -m lab.demo --keep` and set SCANNER__AWS__ENDPOINT to the address it prints"
            raise OperatorError(f"{where}; {hint}") from error
        raise OperatorError(f"AWS does not answer: {error}") from error
    except ClientError as error:
        said = error.response["Error"]
        if said["Code"] in {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "RequestExpired"}:
            raise OperatorError(f"the AWS credentials are no longer valid: {said['Message']}; {_way_in()}") from error
        if "NotFound" in said["Code"]:
            raise OperatorError(f"{environment} has no {what}: is it deployed? ({said['Message']})") from error
        raise OperatorError(f"AWS refused {what} of {environment}: {said['Code']}, {said['Message']}") from error
    except BotoCoreError as error:  # a profile that is not there, a login that ran out
        raise OperatorError(f"AWS cannot be asked for {what} of {environment}: {error}; {_way_in()}") from error


def _way_in() -> str:
    profile = os.environ.get("AWS_PROFILE")
    return f"log in with `aws sso login{f' --profile {profile}' if profile else ''}`, or set AWS_PROFILE"
