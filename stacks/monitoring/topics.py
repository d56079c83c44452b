"""Two encrypted topics: a message to `page` wakes the on-call, one to `ticket` waits for the morning."""

from collections.abc import Mapping

from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
from cdktf_cdktf_provider_aws.sns_topic_policy import SnsTopicPolicy
from cdktf_cdktf_provider_aws.sns_topic_subscription import SnsTopicSubscription
from constructs import Construct

from stacks.foundation import iam
from stacks.foundation.context import Context
from stacks.foundation.iam import PolicyStatement


class Topics(Construct):
    """The topics, their publishers and their subscribers."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, key_arn: str) -> None:
        super().__init__(scope, id_)
        self._context, self._key_arn = context, key_arn
        self.page_arn = self._topic("page")
        self.ticket_arn = self._topic("ticket", notices=True)

    def _topic(self, name: str, *, notices: bool = False) -> str:
        topic = SnsTopic(self, name, name=self._context.name(name), kms_master_key_id=self._key_arn)
        ours = self._context.arn("cloudwatch", f"alarm:{self._context.name('*')}")
        statements = [
            _publish(topic.arn, "Alarms", "cloudwatch.amazonaws.com", conditions={"ArnLike": {"aws:SourceArn": ours}})
        ]
        if notices:
            # EventBridge supports no condition here: with one, no message arrives. Source: "Amazon SNS permissions".
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
            statements.append(_publish(topic.arn, "Notices", "events.amazonaws.com"))
        SnsTopicPolicy(self, f"{name}_policy", arn=topic.arn, policy=iam.document(statements))
        for number, address in enumerate(self._context.settings.alarms.emails):
            SnsTopicSubscription(
                self, f"{name}_email_{number}", topic_arn=topic.arn, protocol="email", endpoint=address
            )
        return topic.arn


def _publish(
    topic_arn: str, sid: str, service: str, *, conditions: Mapping[str, Mapping[str, str | list[str]]] | None = None
) -> PolicyStatement:
    return iam.statement(
        "sns:Publish", sid=sid, principals={"Service": service}, resources=[topic_arn], conditions=conditions
    )
