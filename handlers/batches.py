"""The size of a batch and the rest after it, so that writers have locks and disk most of the time."""

import time

import psycopg2.errors

# A batch that meets these was undone, and is tried again.
BUSY = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)

# The aim: a writer may wait for a batch for this long.
BATCH_S = 0.15
FEWEST_ROWS, FIRST_ROWS, MOST_ROWS = 50, 1000, 20_000
# Rest after a batch, as a share of the time that it took.
REST_SHARE = 0.2
LONGEST_REST_S = 2.0


class Batches:
    """The size of the next batch, from how long the last one took, and the rest after it.

    A batch that takes far longer than aimed at has met a saturated disk or server. Writers wait for the same disk, so
    the rest is as long as the batch was late.
    """

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    def took(self, seconds: float) -> None:
        """Adapt to the time that a batch took, and rest."""
        # At most doubled: the next rows may be slower.
        wanted = self.rows * min(BATCH_S / max(seconds, 0.001), 2)
        self.rows = int(min(max(wanted, FEWEST_ROWS), MOST_ROWS))
        self.rest(seconds)

    def rest(self, seconds: float) -> None:
        """Rest after a batch that was smaller than it could have been, so that its time does not tell the next size."""
        time.sleep(rest_s(seconds))

    def failed(self) -> None:
        """Take fewer rows the next time."""
        self.rows = max(self.rows // 2, FEWEST_ROWS)


def rest_s(took_s: float) -> float:
    """Return how many seconds to rest after a batch."""
    return min(max(took_s * REST_SHARE, took_s - 2 * BATCH_S), LONGEST_REST_S)
