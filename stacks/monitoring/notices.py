"""Tickets for what AWS announces about the database: RDS events, and the dates that AWS Health sets.

RDS can publish its events to a topic itself, but not to an encrypted one:
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateEventSubscription.html
"""

import json
from collections.abc import Mapping
from typing import Any

from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import (
    CloudwatchEventTarget,
    CloudwatchEventTargetInputTransformer,
)
from constructs import Construct

from handlers.contract.alarms.messages import NOTICES
from stacks.alarms.descriptions import description
from stacks.foundation.context import Context
from stacks.settings import Settings

# Without the daily ones: backup, configuration change, creation, deletion, security.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
CATEGORIES = ("availability", "failover", "failure", "low storage", "maintenance", "notification", "recovery")


def patterns(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the event pattern of each notice of a deployment by its name."""
    database = settings.rds_database
    sources = dict.fromkeys((database.identifier, *database.members(settings.database.readers)))
    return {
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-cloudwatch-events.sample.html
        "database-events": {
            "source": ["aws.rds"],
            "detail-type": list(database.facts.events),
            "detail": {"SourceIdentifier": list(sources), "EventCategories": list(CATEGORIES)},
        },
        # https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
        # All of RDS, because the end of an engine version or a certificate names no instance.
        "lifecycle-events": {
            "source": ["aws.health"],
            "detail-type": ["AWS Health Event"],
            "detail": {"service": ["RDS"]},
        },
    }


# The parts of an event that the message quotes.
WORDS: Mapping[str, Mapping[str, str]] = {
    "database-events": {"what": "$.detail.Message", "id": "$.detail.EventID"},
    "lifecycle-events": {"what": "$.detail.eventDescription[0].latestDescription", "id": "$.detail.eventTypeCode"},
}


class Notices(Construct):
    """One rule for each notice."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, topic_arn: str) -> None:
        super().__init__(scope, id_)
        which = patterns(context.settings)
        for notice in NOTICES:
            name = notice.name.replace("-", "_")
            rule = CloudwatchEventRule(
                self,
                name,
                name=context.name(notice.name),
                description=notice.meaning,
                event_pattern=json.dumps(which[notice.name]),
            )
            CloudwatchEventTarget(
                self,
                f"{name}_target",
                rule=rule.name,
                arn=topic_arn,
                input_transformer=CloudwatchEventTargetInputTransformer(
                    input_paths=dict(WORDS[notice.name]),
                    # A JSON text; EventBridge fills in <what> and <id>.
                    input_template=json.dumps(description(context.settings, notice, event="<what> (<id>). ")),
                ),
            )
