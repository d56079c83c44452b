"""What every construct needs in order to name things."""

from dataclasses import dataclass

from stacks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Context:
    """One deployment: its settings, and the account and partition that Terraform finds out."""

    settings: Settings
    account_id: str
    partition: str

    def name(self, part: str) -> str:
        """Return a resource's name, such as `scanner-database-dev-status`."""
        return f"{self.settings.prefix}-{part}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in this account and region, known before it exists."""
        return f"arn:{self.partition}:{service}:{self.settings.region}:{self.account_id}:{resource}"
