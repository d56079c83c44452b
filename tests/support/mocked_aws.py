"""moto as the AWS of this process: imported when a test needs it, and with the descriptions of services read once."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.loaders import JSONFileLoader

if TYPE_CHECKING:
    from collections.abc import Iterator

_read = functools.cache(JSONFileLoader().load_file)


@contextmanager
def mocked_aws() -> Iterator[None]:
    """Let boto3 reach moto only, in an account of its own."""
    from moto import mock_aws

    # moto makes a new session of boto3 for each test, which would parse megabytes of JSON anew.
    JSONFileLoader.load_file = lambda _, path: _read(path)
    with mock_aws():
        yield
