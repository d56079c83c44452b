"""`scannerdb tunnel` against a fake `aws` that really forwards the port (fake_aws_cli.py): there is no AWS CLI here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from scannerdb.tunnel.passfile import write_password
from stacks import ROOT
from tests.support.command_line import scannerdb
from tests.support.deployed import BASTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.deployed import Deployed

ASK = """
import os, psycopg2
connection = psycopg2.connect({dsn})
cursor = connection.cursor()
cursor.execute("SELECT current_user, ssl, current_setting('port') FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
print(*cursor.fetchone(), connection.info.port)
"""


def ask(dsn: str) -> tuple[str, ...]:
    return (sys.executable, "-c", ASK.format(dsn=dsn))


def test_a_command_inside_reaches_the_database_under_its_real_name(
    deployed: Deployed, fake_aws: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scannerdb("tunnel", "-e", "local", "--", *ask('os.environ["SCANNERDB_DSN"]'))
    user, tls, server_port, own_port = capfd.readouterr().out.split()
    assert (user, tls, server_port) == ("progress_reader", "True", str(deployed.database.server.port))
    assert own_port != server_port
    asked = json.loads(fake_aws.read_text().splitlines()[0])
    assert asked == {
        "region": "eu-central-1",
        "target": BASTION,
        "host": ["localhost"],
        "portNumber": [server_port],
        "localPortNumber": [own_port],
    }


def test_a_command_inside_is_told_which_environment_it_is_in(
    deployed: Deployed, fake_aws: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    doctor = (sys.executable, "-m", "scannerdb", "doctor", "lock-waits")
    scannerdb("tunnel", "-e", "local", "--user", "scanner_doctor", "--", *doctor)
    assert capfd.readouterr().out.startswith("Held against the thresholds of local: ")


def test_psql_finds_its_variables_and_no_password_among_them(
    deployed: Deployed, fake_aws: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scannerdb("tunnel", "-e", "local", "--user", "scanner_doctor", "--", *ask('""'))
    assert capfd.readouterr().out.startswith("scanner_doctor True")
    scannerdb("tunnel", "-e", "local", "--", "env")
    variables = capfd.readouterr().out
    assert "PGSSLMODE=verify-full" in variables
    assert "PGHOSTADDR=127.0.0.1" in variables
    assert "X-Amz-Signature" not in variables
    assert "PGPASSWORD" not in variables


def test_a_server_of_another_name_is_not_trusted(
    deployed: Deployed, fake_aws: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deployed.say(
        proxy_endpoint="another.host.example",
        proxy_port=str(deployed.database.server.port),
        bastion_instance_id=BASTION,
    )
    scannerdb("tunnel", "-e", "local", "--", *ask('os.environ["SCANNERDB_DSN"]'), code=1)
    assert 'does not match host name "another.host.example"' in capfd.readouterr().err


def test_the_session_and_the_password_end_with_the_command_whose_exit_code_is_kept(
    deployed: Deployed, fake_aws: Path, tmp_path: Path
) -> None:
    note = tmp_path / "passfile"
    scannerdb(
        "tunnel",
        *("-e", "local"),
        "--",
        "sh",
        "-c",
        f'stat -c %a "$PGPASSFILE" > {note}; echo "$PGPASSFILE" >> {note}; exit 7',
        code=7,
    )
    mode, path = note.read_text().split()
    assert mode == "600"
    assert not Path(path).exists()
    assert fake_aws.read_text().endswith("ended by Ctrl-C")


@pytest.mark.parametrize(
    ("options", "parts_of"), [([], psycopg2.extensions.parse_dsn), (["--json"], json.loads)], ids=["DSN", "JSON"]
)
def test_a_tunnel_without_a_command_says_how_to_connect_and_is_closed_by_ctrl_c(
    deployed: Deployed, fake_aws: Path, options: list[str], parts_of: Callable[[str], dict[str, str]]
) -> None:
    tunnel = subprocess.Popen(
        [sys.executable, "-m", "scannerdb", "tunnel", "-e", "local", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tunnel.stdout is not None
    parts = parts_of(tunnel.stdout.readline())
    assert (parts["host"], parts["hostaddr"], parts["sslmode"]) == ("localhost", "127.0.0.1", "verify-full")
    psycopg2.connect(**parts).close()
    tunnel.send_signal(signal.SIGINT)
    _, said = tunnel.communicate(timeout=20)
    assert tunnel.returncode == 0
    assert said.splitlines() == [f"local is at 127.0.0.1:{parts['port']} until Ctrl-C.", "Closed."]
    assert fake_aws.read_text().endswith("ended by Ctrl-C")
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(**parts)


def test_json_is_refused_where_a_command_prints(deployed: Deployed, capfd: pytest.CaptureFixture[str]) -> None:
    scannerdb("tunnel", "-e", "local", "--json", "--", "true", code=2)
    assert "--json prints how to connect" in capfd.readouterr().err


def test_ctrl_c_inside_is_for_the_command(deployed: Deployed, fake_aws: Path) -> None:
    told = "    print('mine')"
    inside = f"import time\ntry:\n    print('ready', flush=True)\n    time.sleep(30)\nexcept KeyboardInterrupt:\n{told}"
    tunnel = subprocess.Popen(
        [sys.executable, "-m", "scannerdb", "tunnel", "-e", "local", "--", sys.executable, "-c", inside],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert tunnel.stdout is not None
    assert tunnel.stdout.readline() == "ready\n"
    os.killpg(tunnel.pid, signal.SIGINT)  # as a terminal does it
    out, _ = tunnel.communicate(timeout=20)
    assert (tunnel.returncode, out) == (0, "mine\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_ends_the_session_too(deployed: Deployed, fake_aws: Path, number: signal.Signals) -> None:
    tunnel = subprocess.Popen(
        [sys.executable, "-m", "scannerdb", "tunnel", "-e", "local"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert tunnel.stdout is not None
    tunnel.stdout.readline()
    tunnel.send_signal(number)
    assert tunnel.wait(20) == 128 + number
    tunnel.stdout.close()
    assert fake_aws.read_text().endswith("ended by Ctrl-C")


def test_what_the_aws_cli_says_is_passed_on_with_a_hint(
    deployed: Deployed, fake_aws: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_AWS_ERROR", "An error occurred (TargetNotConnected): i-0 is not connected.")
    scannerdb("tunnel", "-e", "local", code=1)
    said = capsys.readouterr().err
    assert f"no session to the bastion {BASTION}: An error occurred (TargetNotConnected)" in said
    assert "is it running?" in said


def test_missing_tools_are_named_with_where_to_get_them(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    scannerdb("tunnel", "-e", "local", code=1)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("scannerdb: aws is not on PATH; install it: https://docs.aws.amazon.com/cli/")
    assert said[1].startswith("session-manager-plugin is not on PATH; install it: https://")


def test_a_port_in_use_a_missing_command_and_a_wrong_user_are_refused(
    deployed: Deployed, fake_aws: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = deployed.database.server.port
    scannerdb("tunnel", "-e", "local", "--port", str(port), code=1)
    assert f"port {port} of this machine is in use" in capsys.readouterr().err
    scannerdb("tunnel", "-e", "local", "--", "no-such-program", code=1)
    assert "no-such-program is not on PATH" in capsys.readouterr().err
    scannerdb("tunnel", "-e", "local", "--user", "owner", code=2)
    assert "add --direct" in capsys.readouterr().err


def test_a_token_with_colons_is_read_as_one_password(tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    write_password(file, host="h", port=1, user="u", password="h:1/?Action=connect\\")
    write_password(file, host="h", port=1, user="u", password="h:2/?Action=connect\\")
    assert file.read_text() == "h:1:*:u:h\\:2/?Action=connect\\\\\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_proof_is_renewed_while_the_tunnel_is_open(
    deployed: Deployed, fake_aws: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("scannerdb.tunnel.command.RENEW_TOKEN_S", 0.2)
    tokens = iter(f"token-{number}" for number in range(1000))
    monkeypatch.setattr("scannerdb.login.Target.password", lambda _: next(tokens))
    kept = tmp_path / "kept"
    started_s = time.monotonic()
    scannerdb(
        "tunnel", "-e", "local", "--", "sh", "-c", f'cat "$PGPASSFILE" > {kept}; sleep 1; cat "$PGPASSFILE" >> {kept}'
    )
    assert time.monotonic() - started_s >= 1
    first, last = kept.read_text().splitlines()
    assert first.endswith("token-0")
    assert int(last.rpartition("-")[2]) >= 2
