"""Whether a message of an alarm reaches a person."""

from collections.abc import Iterator

from scannerdb.checks.model import Answer, Check, Context, ok, refused, warning
from scannerdb.outputs import output

PENDING = "PendingConfirmation"


def _topics(context: Context) -> Iterator[Answer]:
    for topic in ("page", "ticket"):
        arn = output(context.outputs, f"{topic}_topic_arn", context.settings)
        pages = context.aws("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
        found = {each["Endpoint"]: each["SubscriptionArn"] for page in pages for each in page["Subscriptions"]}
        yield _topic(topic, found, context.settings.alarms.emails)


def _topic(topic: str, found: dict[str, str], emails: tuple[str, ...]) -> Answer:
    asked = f"topic {topic}"
    if missing := [address for address in emails if address not in found]:
        return refused(f"{', '.join(missing)} not subscribed", next="deploy again", asked=asked)
    if pending := [address for address, arn in found.items() if arn == PENDING]:
        return warning(
            f"{', '.join(pending)} has not confirmed: no message reaches it",
            next="confirm the mail from AWS Notifications; after three days only a new subscription sends another",
            asked=asked,
        )
    if not found:
        return warning("no subscriber: no alarm reaches anyone", next="set alarms.emails", asked=asked)
    return ok(f"{', '.join(found)} confirmed", asked=asked)


MESSAGES = (Check(name="topics", asked="topics", ask=_topics),)
