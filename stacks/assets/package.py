"""The functions' package and the migrations release, as zips whose bytes depend on nothing but their content.

Two machines, folders or umasks give the same bytes, so a plan shows a new package only where something changed.
`python -m stacks.assets.package` builds both.
"""

import argparse
import base64
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from handlers.contract import release
from stacks import ROOT
from stacks.assets.migration_files import MigrationError, release_files

BUILD = ROOT / "build"

Platform = Literal["lambda", "host"]
LAMBDA_PLATFORM = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13")
CERTIFICATES = "handlers/certificates.pem"

# Written by installers: they differ between machines, or are commands that Lambda never runs.
NOT_SHIPPED_FOLDERS = frozenset({"__pycache__", "bin"})
NOT_SHIPPED_FILES = frozenset({".lock", "INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"})
# Python zips nothing before 1980.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
# 20 MB each. What was used in the last hour may be in use by another process, so it is kept too.
KEPT_PACKAGES = 8
IN_USE_S = 3600
# What decides on a release's bytes, besides the migrations and the version of the parser.
RELEASE_MAKERS = (Path(release.__file__), *sorted(Path(__file__).parent.glob("*.py")))


class PackageError(RuntimeError):
    """A package cannot be built; the message carries what the tool said."""


@dataclass(frozen=True)
class Package:
    """A zip and the SHA-256 of its bytes, in hex."""

    path: Path
    sha256: str

    @property
    def sha256_base64(self) -> str:
        """The same hash as Lambda writes it."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()


def write_zip(path: Path, entries: Mapping[str, bytes]) -> str:
    """Write a zip that depends on nothing but `entries`, and return the SHA-256 of its bytes in hex.

    The files are stored, not compressed: deflate's output depends on the zlib that Python was built with, so two
    machines would disagree. An interrupted write leaves nothing behind at `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(entries):
                info = zipfile.ZipInfo(name, TIMESTAMP)
                info.create_system = 3  # Unix, also when built elsewhere
                info.external_attr = 0o100644 << 16
                archive.writestr(info, entries[name])
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return _sha256(path)


def build_function_package(
    *, platform: Platform = "lambda", ca_bundle: Path | None = None, root: Path = ROOT
) -> Package:
    """Build `handlers/`, its locked dependencies and the certificate authorities into one zip, or reuse it.

    Args:
        platform: what the dependencies are for: Lambda's arm64, or this machine.
        ca_bundle: a PEM file in place of the authorities of AWS.
        root: the repository.

    Raises:
        PackageError: a dependency cannot be installed.

    """
    lock = root / "handlers" / "requirements.lock"
    handlers = {
        f"handlers/{path.relative_to(root / 'handlers').as_posix()}": path.read_bytes()
        for path in _files(root / "handlers")
        if path.suffix in {".py", ".sql", ".pem"}
    }
    if ca_bundle:
        handlers[CERTIFICATES] = ca_bundle.read_bytes()
    dependencies = _dependency_key(lock, platform)
    fingerprint = _fingerprint(dependencies, {**handlers, "stacks/assets/package.py": Path(__file__).read_bytes()})
    package = root / "build" / "package" / f"functions-{fingerprint}.zip"
    if package.exists():
        package.touch()  # the time of its last use
    else:
        installed = install_dependencies(platform=platform, root=root)
        shipped = {path.relative_to(installed).as_posix(): path.read_bytes() for path in _files(installed)}
        write_zip(package, shipped | handlers)
        _forget_old_packages(package.parent)
    return Package(package, _sha256(package))


def install_dependencies(*, platform: Platform = "lambda", root: Path = ROOT) -> Path:
    """Install the functions' locked dependencies, or reuse them; return their folder.

    Raises:
        PackageError: one cannot be installed.

    """
    lock = root / "handlers" / "requirements.lock"
    return _install(lock, platform, root / "build" / "package" / f"dependencies-{_dependency_key(lock, platform)}")


def _forget_old_packages(folder: Path) -> None:
    """Delete what was not used lately: each local deployment has its own certificates and therefore its own package."""
    last_used = {}
    for path in folder.glob("functions-*.zip"):
        with contextlib.suppress(FileNotFoundError):  # another process forgets too
            last_used[path] = path.stat().st_mtime
    for package in sorted(last_used, key=last_used.__getitem__, reverse=True)[KEPT_PACKAGES:]:
        if last_used[package] < time.time() - IN_USE_S:
            package.unlink(missing_ok=True)


def build_release(migrations: Path = ROOT / "migrations", *, folder: Path = BUILD / "release") -> Package:
    """Build the migrations and their manifest into `<sha256>.zip`, or reuse it.

    Raises:
        MigrationError: a migration is named wrongly, cannot be read, or PostgreSQL's grammar refuses it.

    """
    # Parsing is slow, so the release's hash is cached under a fingerprint of everything that decides on its bytes.
    sources = {path.name: path.read_bytes() for path in (*RELEASE_MAKERS, *release_files(migrations))}
    remembered = folder / f"{_fingerprint(sources, version('pglast'))}.sha256"
    if remembered.exists() and (made := folder / f"{remembered.read_text()}.zip").exists():
        return Package(made, remembered.read_text())

    from stacks.assets.manifest import release_entries  # noqa: PLC0415 - the parser

    unnamed = folder / f"new-{os.getpid()}.zip"
    sha256 = write_zip(unnamed, release_entries(migrations))
    made = unnamed.replace(folder / f"{sha256}.zip")
    remembered.write_text(sha256)
    return Package(made, sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(*parts: str | Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for name, content in sorted(part.items()) if isinstance(part, Mapping) else [("", part.encode())]:
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        unwanted = NOT_SHIPPED_FOLDERS.intersection(path.relative_to(folder).parts) or path.name in NOT_SHIPPED_FILES
        if path.is_file() and not unwanted:
            yield path


def _platform_options(platform: Platform) -> tuple[str, ...]:
    return LAMBDA_PLATFORM if platform == "lambda" else ()


def _dependency_key(lock: Path, platform: Platform) -> str:
    host = "" if platform == "lambda" else f"{sys.version_info[:2]} {os.uname().machine} {sys.platform}"
    return _fingerprint({"lock": lock.read_bytes()}, " ".join(_platform_options(platform)), host)


def _install(lock: Path, platform: Platform, target: Path) -> Path:
    """Install the locked dependencies into `target`, unless they are there."""
    if target.exists():
        return target
    print(f"Installing the functions' dependencies for {platform} ...", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    import uv  # noqa: PLC0415 - only a checkout has it; an installed `scannerdb` builds no package

    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    command = [
        *(uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(unfinished)),
        *("--only-binary", ":all:", "--require-hashes", "--no-deps", "--link-mode", "copy"),
        *_platform_options(platform),
        *("-r", str(lock)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PackageError(f"{lock} cannot be installed for {platform}:\n{done.stderr.strip()}")
        # Another process may have been faster; its result is the same.
        if not target.exists():
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def main() -> int:
    """Build both zips and print path, size and hash of each."""
    parser = argparse.ArgumentParser(prog="python -m stacks.assets.package", description=main.__doc__)
    parser.add_argument("--platform", choices=["lambda", "host"], default="lambda", help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        packages = (build_function_package(platform=arguments.platform), build_release())
    except (PackageError, MigrationError) as error:
        print(error, file=sys.stderr)
        return 1
    for package in packages:
        size_mib = package.path.stat().st_size / 2**20
        print(f"{os.path.relpath(package.path)}  {size_mib:.2f} MiB  sha256 {package.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
