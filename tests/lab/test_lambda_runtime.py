"""The emulator's Lambda: what a handler sees, and what its caller gets."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lab.emulator.lambda_process import Function, Invocation
from lab.emulator.lambda_runtime import LambdaRuntime
from tests.lab.processes import is_running, wait_until
from tests.lab.tiny_functions import function

INVOKE = """
import pathlib, sys
from lab.emulator.lambda_runtime import LambdaRuntime
from tests.lab.tiny_functions import function
directory, source, event = sys.argv[1:]
runtime = LambdaRuntime(directory=pathlib.Path(directory) / "f", logs=pathlib.Path(directory) / "l", environment={})
runtime.invoke(function(source, timeout_s=60), event)
"""
RETURN_PID = "import os\ndef handler(event, context):\n    return os.getpid()\n"


def error_of(invocation: Invocation) -> dict[str, Any]:
    assert invocation.is_error, invocation.payload
    error: dict[str, Any] = json.loads(invocation.payload)
    return error


def test_a_handler_gets_its_event_and_its_result_comes_back_as_json(runtime: LambdaRuntime) -> None:
    doubled = function("def handler(event, context):\n    return {'doubled': event['n'] * 2, 'text': 'ä'}\n")
    answer = runtime.invoke(doubled, {"n": 21})
    assert not answer.is_error
    assert json.loads(answer.payload) == {"doubled": 42, "text": "ä"}


def test_the_context_names_the_function_and_counts_down(runtime: LambdaRuntime) -> None:
    source = (
        "import time\n"
        "def handler(event, context):\n"
        "    before = context.get_remaining_time_in_millis()\n"
        "    time.sleep(0.2)\n"
        "    after = context.get_remaining_time_in_millis()\n"
        "    return [context.function_name, context.memory_limit_in_mb, context.invoked_function_arn,\n"
        "            context.log_group_name, len(context.aws_request_id), before, after]\n"
    )
    name, memory, arn, group, id_length, before, after = json.loads(runtime.invoke(function(source), {}).payload)
    assert (name, memory, group, id_length) == ("tiny", "256", "/aws/lambda/tiny", 36)
    assert arn == "arn:aws:lambda:us-east-1:123456789012:function:tiny"
    assert 150 <= before - after < 2000
    assert 8000 < before <= 10_000


def test_a_raised_exception_is_an_error_with_type_message_and_stack(runtime: LambdaRuntime) -> None:
    answer = runtime.invoke(function("def handler(event, context):\n    raise ValueError('not seven')\n"), {})
    error = error_of(answer)
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "not seven")
    assert len(error["stackTrace"]) == 1
    assert 'app.py", line 2, in handler' in error["stackTrace"][0]
    assert "[ERROR] ValueError: not seven" in answer.log


@pytest.mark.parametrize(
    ("source", "handler", "kind", "message"),
    [
        ("import nowhere_to_be_found", "app.handler", "Runtime.ImportModuleError", "Unable to import module 'app'"),
        ("x = 1", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("x = 1", "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
        ("def handler(e, c): return {1, 2}", "app.handler", "Runtime.MarshalError", "Unable to marshal response"),
        ("import os\ndef handler(e, c): os._exit(3)", "app.handler", "Runtime.ExitError", "exit status 3"),
        ("import os\ndef handler(e, c): os.kill(os.getpid(), 9)", "app.handler", "Runtime.ExitError", "signal: killed"),
    ],
)
def test_a_broken_function_is_reported_as_the_service_does(
    runtime: LambdaRuntime, source: str, handler: str, kind: str, message: str
) -> None:
    error = error_of(runtime.invoke(function(source, handler=handler), {}))
    assert error["errorType"] == kind
    assert message in error["errorMessage"]


def test_a_handler_that_takes_too_long_is_killed_at_its_timeout(runtime: LambdaRuntime) -> None:
    slow = function("import time\ndef handler(event, context):\n    time.sleep(event)\n    return 1\n", timeout_s=1)
    assert not runtime.invoke(slow, 0).is_error  # loaded: the clock below shows the timeout alone
    started = time.monotonic()
    answer = runtime.invoke(slow, 30)
    assert 0.9 < time.monotonic() - started < 5
    error = error_of(answer)
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in answer.log
    assert not runtime.invoke(slow, 0).is_error, "the next invocation gets a new process"


def test_only_the_package_the_standard_library_and_the_sdk_can_be_imported(runtime: LambdaRuntime) -> None:
    source = (
        "import importlib.util\n"
        "def handler(event, context):\n"
        "    return {name: importlib.util.find_spec(name) is not None for name in event}\n"
    )
    names = ["boto3", "botocore", "json", "sqlite3", "psycopg2", "pydantic", "moto", "local", "stacks"]
    found = json.loads(runtime.invoke(function(source), names).payload)
    assert [name for name in names if found[name]] == ["boto3", "botocore", "json", "sqlite3"]


def test_the_sdk_loads_and_reads_the_region_from_the_environment(runtime: LambdaRuntime) -> None:
    source = "import boto3\ndef handler(event, context):\n    return boto3.client('s3').meta.region_name\n"
    assert json.loads(runtime.invoke(function(source), {}).payload) == "us-east-1"


def test_the_process_stays_warm_until_code_or_configuration_change(runtime: LambdaRuntime) -> None:
    def pid(version: Function) -> int:
        return int(runtime.invoke(version, {}).payload)

    first = pid(function(RETURN_PID))
    assert pid(function(RETURN_PID)) == first
    reconfigured = pid(function(RETURN_PID, LEVEL="DEBUG"))
    assert reconfigured != first
    assert pid(function(RETURN_PID + "\n# changed", LEVEL="DEBUG")) not in {first, reconfigured}
    assert not is_running(first), "the outdated process was ended"


def test_a_concurrent_request_gets_a_process_of_its_own(runtime: LambdaRuntime) -> None:
    source = "import os, time\ndef handler(event, context):\n    time.sleep(1)\n    return os.getpid()\n"
    pids: list[int] = []
    threads = [
        threading.Thread(target=lambda: pids.append(int(runtime.invoke(function(source), {}).payload)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 2


def test_all_that_a_handler_prints_is_log_and_never_answer(runtime: LambdaRuntime) -> None:
    source = (
        "import os, subprocess, sys\n"
        "def handler(event, context):\n"
        "    print('from python')\n"
        "    print('to stderr', file=sys.stderr)\n"
        "    os.write(1, b'from the descriptor\\n')\n"
        "    subprocess.run(['echo', 'from a child'])\n"
        "    return sys.stdin is None or os.read(0, 1).decode()\n"
    )
    answer = runtime.invoke(function(source), {})
    assert json.loads(answer.payload) == ""
    for text in ("from python", "to stderr", "from the descriptor", "from a child"):
        assert f"{text}\n" in answer.log


def test_each_invocation_has_its_own_log_with_start_end_and_report(runtime: LambdaRuntime) -> None:
    chatty = function("def handler(event, context):\n    print('word', event)\n")
    first, second = runtime.invoke(chatty, 1).log, runtime.invoke(chatty, 2).log
    assert "word 1" in first
    assert "Init Duration" in first
    assert "word 1" not in second
    assert "Init Duration" not in second
    lines = second.splitlines()
    assert [line.split()[0] for line in lines] == ["START", "word", "END", "REPORT"]
    assert "Memory Size: 256 MB\tMax Memory Used: " in lines[-1]


def test_stop_ends_a_handler_at_work(runtime: LambdaRuntime) -> None:
    forever = function("import time\ndef handler(event, context):\n    time.sleep(60)\n", timeout_s=60)
    answers: list[Invocation] = []
    thread = threading.Thread(target=lambda: answers.append(runtime.invoke(forever, {})))
    thread.start()
    time.sleep(1)
    runtime.stop()
    thread.join(timeout=5)
    assert error_of(answers[0])["errorType"] == "Runtime.ExitError"


def test_a_worker_ends_when_its_emulator_dies_even_while_its_handler_works(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = (
        "import os, pathlib, time\n"
        "def handler(event, context):\n"
        "    pathlib.Path(event).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    emulator = subprocess.Popen([sys.executable, "-c", INVOKE, str(tmp_path), source, str(note)])
    try:
        wait_until(lambda: note.exists() and note.read_text())
    finally:
        emulator.kill()
        emulator.wait()
    worker = int(note.read_text())
    wait_until(lambda: not is_running(worker))
