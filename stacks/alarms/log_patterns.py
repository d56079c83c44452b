"""The patterns that turn lines of the database's log into metrics.

RDS begins each line with `%t:%r:%u@%d:[%p]:`, so a slow statement reads
`2026-04-01 20:17:33 UTC:10.0.1.5(51401):progress_reader@scanner_db:[20768]:LOG:  duration: 1454.486 ms  statement: S`.
A statement may hold whatever its author likes, so only the level in front of the message counts.
"""

# auto_explain writes the same statement once more, as `plan:`, which must not count twice.
SLOW_STATEMENT = '[date, time, context="*:LOG:", label="duration:", milliseconds, unit="ms", kind!="plan:", ...]'
# Where log_statement has written the text already, the measurement is the end of its line.
SLOW_LOGGED_STATEMENT = '[..., context="*:LOG:", label="duration:", milliseconds, unit="ms"]'
SLOW_STATEMENTS = {"slow_statements": SLOW_STATEMENT, "slow_logged_statements": SLOW_LOGGED_STATEMENT}

# What a role may not do: "permission denied for ...", "must be owner of ...", "cannot execute ... in a read-only
# transaction".
DENIED_STATEMENT = (
    '[date, time, context="*:ERROR:", first="permission" || first="cannot" || first="must", '
    'second="denied" || second="execute" || second="be", ...]'
)
DENIED_STATEMENTS = {"denied_statements": DENIED_STATEMENT}
# What is counted in a minute whose lines match nothing. Without it the minutes after the last refusal are missing, and
# an alarm looks past what is missing to what came before it, and rings once more for the same refusals.
NOTHING_DENIED = "0"
