"""Patches moto with `TestMetricFilter`: our reading of CloudWatch's filter patterns, not the service's own."""

import json
from typing import Any

from moto.logs.responses import LogsResponse

from lab.emulator.filter_pattern import Reading, parse
from lab.emulator.patching import replace


def patch_log_filters() -> None:
    """Add the action to moto."""
    replace(LogsResponse, "test_metric_filter", _test_metric_filter)


def _test_metric_filter(self: Any) -> str:
    pattern = parse(self._get_param("filterPattern"))
    matches = [
        {"eventNumber": number, "eventMessage": text, "extractedValues": values}
        for number, text in enumerate(self._get_param("logEventMessages"), start=1)
        if (values := pattern.match(text, Reading())) is not None
    ]
    return json.dumps({"matches": matches})
