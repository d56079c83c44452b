"""What a log of `-X importtime` says about the heaviest modules."""

from lab.bench.cold_start import Import, heaviest_imports

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
