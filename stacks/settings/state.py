"""The settings of the Terraform state."""

from typing import Self

from pydantic import Field, model_validator

from stacks.settings.base import Model, on_change


class StateSettings(Model):
    """Where Terraform keeps the state: a file beside main.py, or an S3 bucket with a lock file."""

    path: str | None = Field(
        None,
        min_length=1,
        description="a file path, when there is no bucket; no other environment's",
        json_schema_extra=on_change("moves the state: `terraform init -migrate-state`; no resource changes"),
    )
    bucket: str | None = Field(
        None,
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        pattern=r"^[a-z0-9]([a-z0-9-]|\.[a-z0-9])+[a-z0-9]$",
        min_length=3,
        max_length=63,
        description="an S3 bucket's name",
        json_schema_extra=on_change("moves the state: `terraform init -migrate-state`; no resource changes"),
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.bucket is None):
            found = "both" if self.path else "neither"
            raise ValueError(f"must have exactly one of path and bucket, and has {found}")
        return self
