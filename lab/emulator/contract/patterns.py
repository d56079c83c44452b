r"""Compiles the patterns of AWS's service models, which are written for Java.

Three notations are Java's own: `\p{Alnum}` for a POSIX class, `\p{IsLatin}` for a script, and two halves of UTF-16 for
a character above U+FFFF. A pattern must match the whole value, as `matches()` has it in Java. That AWS reads all of
them so is believed, not documented: Smithy leaves the patterns of new models unanchored. Both readings accept all that
Terraform sends here.
"""

import functools
import re

import regex

POSIX = re.compile(r"\\p\{(Alnum|Alpha|Blank|Cntrl|Digit|Graph|Lower|Print|Punct|Space|Upper|XDigit)\}")
SCRIPT = re.compile(r"\\p\{Is(\w+)\}")
PAIR = re.compile(r"\\u([Dd][89ABab]\w\w)\\u([Dd][C-Fc-f]\w\w)")


@functools.cache
def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Return a pattern of a service model, compiled.

    Raises:
        regex.error: it uses what Python cannot express; a test lists such patterns.

    """
    python = POSIX.sub(r"\\p{Posix\1}", pattern)
    python = SCRIPT.sub(r"\\p{\1}", python)
    return regex.compile(PAIR.sub(_character, python), regex.V0)


def _character(pair: re.Match[str]) -> str:
    halves = "".join(chr(int(half, 16)) for half in pair.groups())
    return halves.encode("utf-16", "surrogatepass").decode("utf-16")
