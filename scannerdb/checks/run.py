"""Asks each check, and turns what goes wrong into an answer that names the missing permission or the cause."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scannerdb.checks.model import Answer, Check, Context, not_answered
from scannerdb.errors import OperatorError

# As different services say that the caller may not.
DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "Forbidden",
        "UnauthorizedOperation",
    }
)
POLICY_PAGE = "docs/operations/first_deploy.md"


def run(checks: Sequence[Check], context: Context) -> Iterator[Answer]:
    """Yield the answers of the checks in their order, each as it comes."""
    for check in checks:
        said = False
        for answer in _ask(check, context):
            said = True
            yield replace(answer, check=check.name, asked=answer.asked or check.asked)
        if not said:  # a check without an answer must not look as one that found all well
            yield replace(not_answered("the check had nothing to say"), check=check.name, asked=check.asked)


def _ask(check: Check, context: Context) -> Iterator[Answer]:
    # Imported here: most commands do not need it.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        yield from check.ask(context)
    except ClientError as error:
        yield unanswered(error, context)
    except ResponseParserError:
        yield not_answered(_no_answer_of_aws(context, "an answer that is not AWS's"))
    except BotoCoreError as error:
        yield not_answered(str(error))
    except OperatorError as error:
        yield not_answered(error.message)
    except Exception as error:  # noqa: BLE001 - the other checks go on after any error
        yield not_answered(f"the check failed: {type(error).__name__}: {error}")


def is_denied(error: Exception) -> bool:
    """Return whether AWS says that the caller may not."""
    return code_of(error) in DENIED


def code_of(error: Exception) -> str:
    """Return the code of a `ClientError`."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def unanswered(error: Exception, context: Context) -> Answer:
    """Return the answer for a `ClientError`: the permission that is missing, or what AWS said."""
    action = _last_action(context)
    said = str(getattr(error, "response", {}).get("Error", {}).get("Message", "")) or str(error)
    if is_denied(error):
        way_out = f"grant {action} to {context.caller}; {POLICY_PAGE} has the whole policy"
        return not_answered(f"{action} is denied: {said}", next=way_out)
    if (code := code_of(error)).isdigit():  # AWS's own errors have a name
        return not_answered(_no_answer_of_aws(context, f"HTTP {code}"))
    return not_answered(f"{action}: {code}, {said}")


def _no_answer_of_aws(context: Context, what: str) -> str:
    by_emulator = "; the emulator does not know this call" if context.settings.aws.endpoint else ""
    return f"{_last_action(context)}: {what}{by_emulator}"


def _last_action(context: Context) -> str:
    return context.aws.actions[-1] if context.aws.actions else "the call"
