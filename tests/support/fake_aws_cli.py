"""Stands in for the AWS CLI with its Session Manager plugin, of which neither is here.

It takes `aws ssm start-session` with the document that `scannerdb tunnel` names, listens on the local port that it was
told, and forwards each connection to FAKE_AWS_TARGET_PORT of this machine: a real TCP forwarder, so what runs inside of
the tunnel really speaks to the embedded PostgreSQL. It ends with Ctrl-C as the plugin does, and writes what it was
asked and how it ended to FAKE_AWS_LOG.
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"


def main() -> None:
    parser = argparse.ArgumentParser(prog="aws")
    parser.add_argument("service", choices=["ssm"])
    parser.add_argument("command", choices=["start-session"])
    for option in ("--region", "--target", "--document-name", "--parameters"):
        parser.add_argument(option, required=True)
    asked = parser.parse_args()
    if said := os.environ.get("FAKE_AWS_ERROR"):
        sys.exit(said)
    parameters = json.loads(asked.parameters)
    assert asked.document_name == DOCUMENT
    assert set(parameters) == {"host", "portNumber", "localPortNumber"}
    log = Path(os.environ["FAKE_AWS_LOG"])
    log.write_text(json.dumps({"region": asked.region, "target": asked.target, **parameters}))
    # What a session takes to begin.
    time.sleep(0.3)
    with socket.create_server(("127.0.0.1", int(parameters["localPortNumber"][0]))) as server:
        try:
            while True:
                here, _ = server.accept()
                there = socket.create_connection(("127.0.0.1", int(os.environ["FAKE_AWS_TARGET_PORT"])))
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=forward, args=(source, sink), daemon=True).start()
        except KeyboardInterrupt:
            log.write_text(log.read_text() + "\nended by Ctrl-C")


def forward(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
