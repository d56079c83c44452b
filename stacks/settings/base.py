"""What every table of the settings shares."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A table of the file: no unknown key, no change after loading. A description says what is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
