"""What a disk, or the rights on it, stands in the way of, as a sentence with the way out."""

import errno

_WAYS_OUT = {
    errno.ENOSPC: "free space on its disk, then run the same command again",
    errno.EDQUOT: "free space of this user's quota, then run the same command again",
    errno.EROFS: "work in a checkout on a disk that may be written to",
    errno.EACCES: "give this user the right to it, or work in a checkout of its own",
    errno.EPERM: "give this user the right to it, or work in a checkout of its own",
}


def disk_problem(error: OSError) -> str | None:
    """Return the file, what the system says, and the way out; `None` for an error that has another cause."""
    if error.errno not in _WAYS_OUT:
        return None
    # A file that is open already names no path.
    where = f"{error.filename or 'a file'} cannot be written or read"
    return f"{where}: {error.strerror}; {_WAYS_OUT[error.errno]}"
