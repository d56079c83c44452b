"""What a log of `-X importtime` says about the heaviest modules, and what cold starts are compared with."""

from typing import Any

from lab.bench.cold_start import ENTRIES, PLAIN, ColdStarts, Import, Limited, answers, heaviest_imports

LOG = """\
import time: self [us] | cumulative | imported package
import time:       300 |        300 |   encodings.aliases
import time:      8300 |      79000 |   aws_lambda_powertools.logging.logger
import time:       300 |      79300 | aws_lambda_powertools.logging
{"level":"ERROR"}
import time:     25200 |      25200 | typing_extensions
"""


def test_modules_that_took_long_come_first_and_short_ones_not_at_all() -> None:
    assert heaviest_imports(LOG) == [
        Import("aws_lambda_powertools.logging", 0.3, 79.3),
        Import("aws_lambda_powertools.logging.logger", 8.3, 79.0),
        Import("typing_extensions", 25.2, 25.2),
    ]


def starts(taken_ms: float) -> ColdStarts:
    parts = {"imports": taken_ms / 2, "connection": taken_ms / 4, "answer": taken_ms / 4}
    results: list[dict[str, Any]] = [{"taken_ms": taken_ms, "parts_ms": parts, "peak_kib": 1024}] * 3
    return ColdStarts.of(results)


def test_a_third_of_a_core_is_judged_too_and_each_part_is_compared() -> None:
    whole = {**dict.fromkeys(ENTRIES, starts(100)), PLAIN: starts(400)}
    limited = Limited(share=0.334, starts={"status": starts(600), PLAIN: starts(1000)})
    found = {answer.question: answer for answer in answers(whole, limited)}
    judged = found["cold start of `status` : the plain way of `status`, on a third of a core"]
    assert (judged.value, judged.held) == ("600 ms : 1,000 ms", False)
    assert found["connection of it"].value == "150 ms : 250 ms"
    assert found["the share of a core that a busy process got there"].value == "0.33"
    assert found["cold start of `status` : the plain way of `status`"].held is True


def test_a_machine_that_cannot_limit_a_core_says_so_instead_of_a_figure() -> None:
    whole = {**dict.fromkeys(ENTRIES, starts(100)), PLAIN: starts(400)}
    *_, last = answers(whole, None)
    assert (last.value, last.held) == ("this machine lets us make no control group", None)
