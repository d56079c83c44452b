"""The emulator's server process, which `Emulator` starts: moto with our patches, and the HTTP API on a port of its own.

Reads its configuration as one line of JSON on standard input and prints its ports the same way. Ends when standard
input closes, so it never outlives the process that started it.
"""

import functools
import json
import os
import sys
import threading
from pathlib import Path

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from lab.embedded_postgres import EmbeddedPostgres
from lab.emulator.access.control import AccessControl
from lab.emulator.access.layer import AccessLayer
from lab.emulator.access.moto_account import ACCOUNT_ID, read_account
from lab.emulator.contract.check import ContractCheck
from lab.emulator.database_servers import BACKUPS, DatabaseServers
from lab.emulator.http_server import HttpApi
from lab.emulator.lambda_runtime import LambdaRuntime
from lab.emulator.patch_access import patch_access
from lab.emulator.patch_actions import patch_actions
from lab.emulator.patch_backups import database_ports, patch_backups
from lab.emulator.patch_clusters import patch_clusters
from lab.emulator.patch_databases import patch_databases
from lab.emulator.patch_functions import api_routes, invoke_route, patch_api_address, patch_functions
from lab.emulator.patch_log_filters import patch_log_filters
from lab.emulator.patch_resources import patch_resources
from lab.emulator.patch_stages import patch_stages
from lab.emulator.retries import RetryReplay
from lab.emulator.server import ACCESS_RECORD, CREDENTIALS


def main() -> None:
    """Serve until standard input closes."""
    configuration = json.loads(sys.stdin.readline())
    region, directory = configuration["region"], Path(configuration["directory"])
    control = AccessControl(functools.partial(read_account, region), directory / "logs" / ACCESS_RECORD)
    contract = ContractCheck(DomainDispatcherApplication(create_backend_app))
    database = configuration["database"]
    shared = None if database is None else EmbeddedPostgres.attached(*database)
    servers = DatabaseServers(shared, directory / BACKUPS)
    checked = AccessLayer(RetryReplay(contract), control, servers)
    aws = make_server("127.0.0.1", 0, checked, threaded=True, request_handler=MotoRequestHandler)
    port = aws.server_address[1]
    runtime = LambdaRuntime(
        directory=directory / "functions",
        logs=directory / "logs",
        environment={
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            # The database's names resolve nowhere: libpq connects here, and verifies the certificate against the name.
            "PGHOSTADDR": "127.0.0.1",
        },
    )
    patch_actions()
    patch_databases(password=configuration["database_password"])
    patch_backups(servers)
    patch_clusters(password=configuration["database_password"])
    ports = functools.partial(database_ports, servers, region, ACCOUNT_ID)
    patch_functions(runtime, control, ports)
    patch_access(control, region)
    patch_log_filters()
    patch_resources()
    patch_stages()
    http_api = HttpApi(
        routes=functools.partial(api_routes, region),
        invoke=functools.partial(invoke_route, runtime=runtime, control=control, ports=ports, region=region),
        access_key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region=region,
    )
    api = make_server("127.0.0.1", 0, http_api, threaded=True)
    patch_api_address(f"http://127.0.0.1:{api.server_address[1]}")
    for server in (aws, api):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"aws_port": port, "api_port": api.server_address[1]}), flush=True)
    sys.stdin.read()
    print(f"contract: {contract.checked} requests checked, {contract.refused} refused", file=sys.stderr, flush=True)
    runtime.stop()
    servers.stop()
    # The servers' threads may still wait for clients that are gone.
    os._exit(0)


if __name__ == "__main__":
    main()
