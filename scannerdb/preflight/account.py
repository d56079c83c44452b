"""Whose account it is."""

from collections.abc import Iterator

from scannerdb.checks.model import Answer, Check, Context, ok, warning


def _identity(context: Context) -> Iterator[Answer]:
    seen = f"{context.account_id} in {context.settings.region}, as {context.caller}"
    if context.caller.endswith(":root"):
        yield warning(f"{seen}: the root user", next="deploy as a role or a user of this account")
    else:
        yield ok(seen)


ACCOUNT = (Check(name="identity", asked="account and caller", ask=_identity),)
