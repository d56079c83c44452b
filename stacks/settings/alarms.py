"""The settings of alarms."""

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from stacks.settings.base import Model, on_change

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
# CloudWatch takes 1,024 characters of description; the longest leaves room for this many. A test over the synthesised
# stack holds that: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
LONGEST_RUNBOOK_URL = 512
# RFC 3986 without the fragment, which alarms append.
NO_ADDRESS = re.compile(r"[^A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]")


class AlarmsSettings(Model):
    """Who is told, and when."""

    emails: tuple[Email, ...] = Field(
        (),
        description="a list of e-mail addresses, each once; each must confirm its subscription",
        json_schema_extra=on_change("a new address must confirm its subscription; a removed one is unsubscribed"),
    )
    runbook_url: str = Field(
        "docs/runbook.md",
        min_length=1,
        max_length=LONGEST_RUNBOOK_URL,
        description=(
            f"the runbook's https address of up to {LONGEST_RUNBOOK_URL} characters, without a space or a fragment; "
            "alarms append #section"
        ),
    )
    api_errors: int = Field(5, ge=1, description="a whole number from 1: answers with 5xx in five minutes")
    api_latency_ms: int = Field(1000, ge=1, description="a whole number from 1: what nine answers in ten stay below")
    backlog_rows: int = Field(100_000, ge=1, description="a whole number from 1: changes that wait to be folded")
    connections_percent: int = Field(85, ge=1, le=100, description="a whole number from 1 to 100")
    denied_statements: int = Field(5, ge=1, description="a whole number from 1: refused statements in five minutes")
    lock_wait_s: int = Field(60, ge=1, description="a whole number from 1: seconds that a session waits for a lock")
    slow_queries: int = Field(10, ge=1, description="a whole number from 1: slow statements in five minutes")
    slow_query_p99_ms: int = Field(
        60_000, ge=1, description="a whole number from 1: the slowest of a hundred slow statements"
    )
    storage_hours: int = Field(48, ge=1, description="a whole number from 1: hours until the disk is full")
    transaction_s: int = Field(900, ge=1, description="a whole number from 1: seconds that a transaction is open")

    @field_validator("emails")
    @classmethod
    def _is_named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # SNS would answer the second with the subscription of the first, and Terraform would own it twice.
        seen = [address.lower() for address in value]
        if twice := sorted({address for address in value if seen.count(address.lower()) > 1}):
            raise ValueError(f"{', '.join(twice)} is there more than once")
        return value

    @field_validator("runbook_url")
    @classmethod
    def _is_an_address_without_a_fragment(cls, value: str) -> str:
        if refused := NO_ADDRESS.search(value):
            why = "; alarms append their own fragment" if refused[0] == "#" else ""
            raise ValueError(f"contains {refused[0]!r}{why}")
        return value

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Self:
        if self.emails and not self.runbook_url.startswith(("https://", "http://")):
            raise ValueError(
                "must have runbook_url as an address such as https://git.example.com/scanner/docs/runbook.md where "
                f"emails are given, because a mail links it; {self.runbook_url} leads nowhere"
            )
        return self
