"""Filter patterns that make metrics of the database's log.

RDS begins each line with `%t:%r:%u@%d:[%p]:`, so a slow statement reads
`2026-04-01 20:17:33 UTC:10.0.1.5(51401):progress_reader@scanner_db:[20768]:LOG:  duration: 1454.486 ms  statement: S`.
A statement may contain any text, so only the level in front of the message counts.
"""

# auto_explain logs the same statement again, as `plan:`. It must not count twice.
SLOW_STATEMENT = '[date, time, context="*:LOG:", label="duration:", milliseconds, unit="ms", kind!="plan:", ...]'
# Where log_statement has logged the text already, the line ends after the duration.
SLOW_LOGGED_STATEMENT = '[..., context="*:LOG:", label="duration:", milliseconds, unit="ms"]'
SLOW_STATEMENTS = {"slow_statements": SLOW_STATEMENT, "slow_logged_statements": SLOW_LOGGED_STATEMENT}

# Refused statements: "permission denied for ...", "must be owner of ...", "cannot execute ... in a read-only
# transaction".
DENIED_STATEMENT = (
    '[date, time, context="*:ERROR:", first="permission" || first="cannot" || first="must", '
    'second="denied" || second="execute" || second="be", ...]'
)
DENIED_STATEMENTS = {"denied_statements": DENIED_STATEMENT}
# Publishes 0 for quiet minutes; otherwise CloudWatch re-evaluates old data and alarms twice.
NOTHING_DENIED = "0"
