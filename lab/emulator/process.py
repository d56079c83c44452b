"""The emulator's own process: a moto server whose Lambda runs code, and the HTTP API's front. Started by `Emulator`.

Reads its configuration as one JSON line on standard input, answers with its addresses as one JSON line on standard
output, and ends when standard input closes, so that it never outlives whoever started it.
"""

import functools
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer


def serve(configuration: dict[str, Any]) -> dict[str, Any]:
    """Start both servers in threads and return their ports and the function that stops them."""
    # moto reads these while it is imported.
    os.environ.update(MOTO_IAM_LOAD_MANAGED_POLICIES="true", **configuration["credentials"])

    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    from lab.emulator import patches as emulator_patches  # noqa: PLC0415
    from lab.emulator.alarms import add_missing_actions  # noqa: PLC0415
    from lab.emulator.answers import complete_answers  # noqa: PLC0415
    from lab.emulator.http_front import HttpFront  # noqa: PLC0415
    from lab.emulator.lambda_runtime import LambdaRuntime  # noqa: PLC0415
    from lab.emulator.retries import AnswerAgain  # noqa: PLC0415

    application = AnswerAgain(DomainDispatcherApplication(create_backend_app))
    aws: BaseWSGIServer = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    port = aws.server_address[1]
    directory = Path(configuration["directory"])
    runtime = LambdaRuntime(
        directory=directory / "functions",
        logs=directory / "logs",
        environment={
            **configuration["credentials"],
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            # The database's names resolve nowhere; libpq connects here and still verifies the certificate's name.
            "PGHOSTADDR": "127.0.0.1",
        },
    )
    emulator_patches.run_functions(runtime)
    emulator_patches.name_databases(password=configuration["database_password"])
    complete_answers()
    add_missing_actions()
    front = HttpFront(
        routes=functools.partial(emulator_patches.api_routes, configuration["region"]),
        invoke=functools.partial(emulator_patches.invoke_route, runtime, configuration["region"]),
        access_key=configuration["credentials"]["AWS_ACCESS_KEY_ID"],
        secret_key=configuration["credentials"]["AWS_SECRET_ACCESS_KEY"],
        region=configuration["region"],
    )
    api: BaseWSGIServer = make_server("127.0.0.1", 0, front, threaded=True)
    for server in (aws, api):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return {"aws_port": port, "api_port": api.server_address[1], "stop": runtime.stop}


def main() -> None:
    """Serve until standard input closes."""
    running = serve(json.loads(sys.stdin.readline()))
    stop = running.pop("stop")
    print(json.dumps(running), flush=True)
    sys.stdin.read()
    stop()
    # Threads of the servers may be waiting for clients that are gone.
    os._exit(0)


if __name__ == "__main__":
    main()
