"""In the first minute of a deployment AWS may refuse what it was told to allow: `migrate` tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from handlers import migrate
from handlers.errors import DatabaseUnavailableError
from handlers.migrator import actions, first_use
from handlers.migrator.first_use import FirstUse
from tests.support.uploaded_release import invoke_migrate

if TYPE_CHECKING:
    from collections.abc import Callable


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "not authorized"}}, "GetSecretValue")


class Clock:
    """Time that only sleeping lets pass."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(first_use, "time", clock)
    return clock


def failing(error: Exception, *, times: int) -> Callable[[], str]:
    left = [error] * times

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


TEMPORARY = [
    client_error("AccessDeniedException"),  # Secrets Manager, and KMS behind it
    client_error("AccessDenied"),  # S3
    DatabaseUnavailableError("no connection to db:5432 as scanner_admin: timeout expired"),
    DatabaseUnavailableError('no connection: could not translate host name "db" to address: Name or service not known'),
    DatabaseUnavailableError("no connection: FATAL:  the database system is starting up"),
]
LASTING = [
    client_error("ResourceNotFoundException"),
    DatabaseUnavailableError('no connection: FATAL:  password authentication failed for user "scanner_admin"'),
    DatabaseUnavailableError("no connection: FATAL:  sorry, too many clients already"),
]


@pytest.mark.parametrize("error", TEMPORARY, ids=str)
def test_what_a_new_deployment_refuses_is_tried_again_for_a_minute(error: Exception, clock: Clock) -> None:
    told: list[dict[str, Any]] = []
    started = FirstUse(lambda _sentence, **fields: told.append(fields))
    assert started.call(failing(error, times=5)) == "done"
    assert told == [{"reason": str(error)}] * 5
    with pytest.raises(type(error)):
        started.call(failing(error, times=1000))
    assert 60 <= clock.now_s <= 65


@pytest.mark.parametrize("error", LASTING, ids=str)
def test_what_waiting_does_not_mend_fails_at_once(error: Exception, clock: Clock) -> None:
    with pytest.raises(type(error)):
        FirstUse(lambda *_, **__: None).call(failing(error, times=1))
    assert clock.now_s == 0


def test_after_the_first_minute_nothing_is_tried_again(clock: Clock) -> None:
    started = FirstUse(lambda *_, **__: None)
    clock.sleep(61)
    with pytest.raises(ClientError):
        started.call(failing(TEMPORARY[0], times=1))
    assert clock.now_s == 61


def test_a_migration_waits_for_its_release_its_secret_and_its_first_connection(
    release_event: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def refusing(module: Any, name: str, error: Exception) -> None:
        real = getattr(module, name)

        def once(*args: Any, **options: Any) -> Any:
            if name not in refused:
                refused.append(name)
                raise error
            return real(*args, **options)

        monkeypatch.setattr(module, name, once)

    refusing(migrate, "fetch_release", TEMPORARY[1])
    refusing(actions, "connect", TEMPORARY[2])
    clients = actions.boto3.client

    def client(service: str, **options: Any) -> Any:
        made = clients(service, **options)
        if service == "secretsmanager":
            refusing(made, "get_secret_value", TEMPORARY[0])
        return made

    monkeypatch.setattr(actions.boto3, "client", client)
    assert invoke_migrate(release_event)["already_applied"] == 0
    assert refused == ["fetch_release", "get_secret_value", "connect"]
