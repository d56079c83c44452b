"""What Lambda gives a handler beside the event, and the metrics that an invocation emits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

ARN = "arn:aws:states:us-east-1:123456789012:execution:list:1"


class Context:
    function_name = "status"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:status"
    aws_request_id = "1"


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the values of the last EMF line."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (line,) = lines
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ScannerDatabase"
    assert directive["Dimensions"] == [["service"]]
    return {metric["Name"]: (line[metric["Name"]][0], metric["Unit"]) for metric in directive["Metrics"]}
