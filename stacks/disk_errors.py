"""What a disk, or the rights on it, stands in the way of, as a sentence with the way out."""

import errno
import os
import re

_WAYS_OUT = {
    errno.ENOSPC: "free space on its disk, then run the same command again",
    errno.EDQUOT: "free space of this user's quota, then run the same command again",
    errno.EROFS: "work in a checkout on a disk that may be written to",
    errno.EACCES: "give this user the right to it, or work in a checkout of its own",
    errno.EPERM: "give this user the right to it, or work in a checkout of its own",
}
# An error of Node.js, which writes what cdktf synthesises: https://nodejs.org/api/errors.html#class-systemerror
_OF_NODE = re.compile(r"(?:Error: )?(E[A-Z]+): [^,]+, \w+(?: '[^']+' ->)?(?: '([^']+)')?")


def disk_problem(error: OSError | RuntimeError) -> str | None:
    """Return the file, what the system says, and the way out; `None` for an error that has another cause.

    Args:
        error: an OSError of Python, or the RuntimeError that jsii makes of an error of Node.js.

    """
    if isinstance(error, OSError):
        code, path = error.errno, error.filename
    elif found := _OF_NODE.match(str(error)):
        code, path = getattr(errno, found[1], None), found[2]
    else:
        return None
    if code not in _WAYS_OUT:
        return None
    # A file that is open already names no path.
    return f"{path or 'a file'} cannot be written or read: {os.strerror(code)}; {_WAYS_OUT[code]}"
