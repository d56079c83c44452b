"""Calls the status API of the emulator as an AWS client would: over HTTP, signed."""

from botocore.credentials import Credentials

from lab.emulator.server import CREDENTIALS
from scannerdb import signed_requests
from scannerdb.signed_requests import Response


def get(url: str, *, region: str) -> Response:
    """Send one signed GET request and return its response, also an HTTP error.

    Raises:
        OSError: there is no response.

    """
    credentials = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    return signed_requests.get(url, region=region, credentials=credentials)


def curl_command(url: str, *, region: str) -> str:
    """Return a curl command line for the same request."""
    user = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']}:{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    return f"curl --aws-sigv4 'aws:amz:{region}:execute-api' --user {user} '{url}'"
