"""Tags that every service of the stack takes.

Each service has rules of its own; these are what all accept, by https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
and, for objects, https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from collections.abc import Mapping
from typing import Annotated
from unicodedata import category

from pydantic import AfterValidator

# What the stack puts on every resource itself.
APPLICATION, ENVIRONMENT = "application", "environment"
OURS = (APPLICATION, ENVIRONMENT)
LONGEST_NAME, LONGEST_VALUE = 128, 256
# An S3 object takes 10 tags, any other resource 50. The provider puts the same tags on both.
MOST_TAGS = 10
MOST_CHOSEN = MOST_TAGS - len(OURS)
PUNCTUATION = "_.:/=+-@"


def _are_allowed(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MOST_CHOSEN:
        raise ValueError(
            f"has {len(tags)} tags; an S3 object takes {MOST_TAGS}, and {' and '.join(OURS)} are set by the stack: "
            f"leave {MOST_CHOSEN} at most"
        )
    seen = dict.fromkeys(OURS, "which the stack sets")
    for name, value in tags.items():
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(f"{name!r} has {len(name)} characters; a name has 1 to {LONGEST_NAME}")
        if len(value) > LONGEST_VALUE:
            raise ValueError(f"the value of {name} has {len(value)} characters; a value has {LONGEST_VALUE} at most")
        for text in (name, value):
            if refused := _refused(text):
                raise ValueError(f"{text!r} of {name!r} contains {refused!r}")
            if text.lower().startswith("aws:"):
                raise ValueError(f"{text!r} of {name!r} begins with aws:, which AWS reserves")
        # IAM takes no two names that differ in case only.
        if (twin := seen.get(name.lower())) is not None:
            raise ValueError(f"{name!r} is {name.lower()!r} but for its case, {twin}")
        seen[name.lower()] = f"as is {name!r}"
    return tags


def _refused(text: str) -> str:
    """Return the first character that is no letter, number or separator of any script, and no allowed punctuation."""
    return next((each for each in text if category(each)[0] not in "LNZ" and each not in PUNCTUATION), "")


Tags = Annotated[dict[str, str], AfterValidator(_are_allowed)]


def all_tags(chosen: Mapping[str, str], *, environment: str) -> dict[str, str]:
    """Return what every resource is tagged with."""
    return {**chosen, APPLICATION: "scanner-database", ENVIRONMENT: environment}
