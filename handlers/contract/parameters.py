"""What a deployment around an instance that exists expects of the server's parameters, which its owner sets.

`stacks/` writes it into a variable; `migrate` and `doctor` compare. For an instance of the stack's own there is none:
Terraform sets its parameters.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class ExpectedParameters:
    """The expectations.

    Args:
        identifier: of the instance.
        values: by the parameter's name, as a parameter group has it.
        at_restart: the names of those that PostgreSQL reads when it starts.

    """

    identifier: str
    values: Mapping[str, str]
    at_restart: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> "ExpectedParameters | None":
        """Return the expectations of a text that `str` made; `None` without one."""
        if not text:
            return None
        fields = json.loads(text)
        return cls(**{**fields, "at_restart": tuple(fields["at_restart"])})

    def __str__(self) -> str:
        return json.dumps(asdict(self))
