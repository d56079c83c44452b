"""What every table of the settings shares."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def on_change(effect: str) -> dict[str, Any]:
    """Return what goes with a `Field` as `json_schema_extra`: what a change does to a deployment; see docs/settings.md.

    Without it a change is made in place: nothing restarts and nothing is replaced.
    """
    return {"on_change": effect}


class Model(BaseModel):
    """A table of the file: no unknown key, no change after loading. A description says what is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
