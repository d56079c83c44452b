"""Packages: bytes that follow from content alone, everything in them that Lambda needs, nothing that differs."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stacks import ROOT
from stacks.assets import package as package_module
from stacks.assets.package import PackageError, build_function_package, build_release, write_zip
from tests.support.synthesis import run_main

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES = {"b/two.py": b"2", "a.sql": b"SELECT 1", "b/one.py": b"1"}


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def lambda_package() -> package_module.Package:
    return build_function_package(platform="lambda")


def copy_of_repository(folder: Path) -> Path:
    """A second checkout: other folder, other mtimes, nothing built yet."""
    shutil.copytree(ROOT / "handlers", folder / "handlers", copy_function=shutil.copyfile)
    for number, path in enumerate(sorted((folder / "handlers").rglob("*"))):
        os.utime(path, (10**9 + number, 10**9 + number))
    return folder


def test_a_zip_depends_on_neither_order_nor_place_nor_mode(tmp_path: Path, strict_umask: None) -> None:
    first = write_zip(tmp_path / "first.zip", ENTRIES)
    second = write_zip(tmp_path / "somewhere" / "else.zip", dict(reversed(ENTRIES.items())))
    assert first == second == hashlib.sha256((tmp_path / "first.zip").read_bytes()).hexdigest()


def test_a_zip_has_fixed_times_and_modes_and_is_not_compressed(tmp_path: Path) -> None:
    write_zip(tmp_path / "some.zip", ENTRIES)
    with zipfile.ZipFile(tmp_path / "some.zip") as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == ["a.sql", "b/one.py", "b/two.py"]
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {stat.filemode(entry.external_attr >> 16) for entry in entries} == {"-rw-r--r--"}
    # Deflate's bytes depend on the zlib at hand.
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_an_interrupted_zip_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.zip"
    before = write_zip(path, ENTRIES)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(OSError, match="disk full"):
        write_zip(path, {"c": b""})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert list(tmp_path.iterdir()) == [path]


def test_two_checkouts_build_the_same_bytes(
    tmp_path: Path, lambda_package: package_module.Package, strict_umask: None
) -> None:
    other = build_function_package(platform="lambda", root=copy_of_repository(tmp_path / "other place"))
    assert other.path.read_bytes() == lambda_package.path.read_bytes()
    assert (other.sha256, other.path.name) == (lambda_package.sha256, lambda_package.path.name)


def test_the_lambda_package_is_for_arm64(lambda_package: package_module.Package) -> None:
    with zipfile.ZipFile(lambda_package.path) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        machines = {archive.read(name)[18:20] for name in libraries}
    assert any(name.startswith("psycopg2/_psycopg.cpython-313-aarch64") for name in libraries)
    assert machines == {b"\xb7\x00"}  # EM_AARCH64


def test_the_package_has_handlers_dependencies_certificates_and_licences(
    lambda_package: package_module.Package,
) -> None:
    with zipfile.ZipFile(lambda_package.path) as archive:
        names = set(archive.namelist())
        certificates = archive.read("handlers/certificates.pem").decode()
    assert {"handlers/migrate.py", "handlers/refresh.py", "handlers/status.py", "handlers/progress/reads.sql"} <= names
    assert {"aws_lambda_powertools/__init__.py", "jmespath/__init__.py"} <= names
    assert any("licenses/LICENSE" in name for name in names)
    # Hundreds of regional authorities of the instances, and those that RDS Proxy shows.
    assert certificates.count("-----BEGIN CERTIFICATE-----") > 100
    assert (
        certificates.count("-----BEGIN")
        == certificates.count("-----END")
        == len(set(certificates.split("-----BEGIN"))) - 1
    )


def test_nothing_that_installers_leave_behind_is_shipped(lambda_package: package_module.Package) -> None:
    with zipfile.ZipFile(lambda_package.path) as archive:
        names = archive.namelist()
    unwanted = ("__pycache__", ".pyc", "/RECORD", "/INSTALLER", "/REQUESTED", "direct_url.json", "requirements.")
    assert [name for name in names if any(part in name for part in unwanted) or name.startswith(("bin/", "."))] == []


def test_a_changed_handler_makes_another_package_without_installing_again(
    tmp_path: Path, lambda_package: package_module.Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of_repository(tmp_path)
    build_function_package(platform="lambda", root=root)
    (root / "handlers" / "status.py").write_text("changed = True\n")
    monkeypatch.setattr(package_module.subprocess, "run", None)  # nothing may be run now
    changed = build_function_package(platform="lambda", root=root)
    assert changed.sha256 != lambda_package.sha256


def test_a_certificate_bundle_of_our_own_replaces_that_of_aws(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"ours")
    package = build_function_package(platform="host", ca_bundle=bundle)
    with zipfile.ZipFile(package.path) as archive:
        assert archive.read("handlers/certificates.pem") == b"ours"
    package.path.unlink()


def test_only_the_newest_packages_are_kept(tmp_path: Path) -> None:
    for number in range(package_module.KEPT_PACKAGES + 3):
        package = tmp_path / f"functions-{number}.zip"
        package.touch()
        os.utime(package, (number, number))
    package_module._forget_old_packages(tmp_path)
    kept = {int(path.stem.removeprefix("functions-")) for path in tmp_path.iterdir()}
    assert kept == set(range(3, package_module.KEPT_PACKAGES + 3))


def test_a_package_that_may_be_in_use_is_kept_beside_newer_ones(tmp_path: Path) -> None:
    for number in range(package_module.KEPT_PACKAGES + 3):
        (tmp_path / f"functions-{number}.zip").touch()
    package_module._forget_old_packages(tmp_path)
    assert len(list(tmp_path.iterdir())) == package_module.KEPT_PACKAGES + 3


def test_a_package_that_is_used_again_is_not_the_oldest_any_more() -> None:
    package = build_function_package(platform="host").path
    os.utime(package, (0, 0))
    build_function_package(platform="host")
    assert package.stat().st_mtime > 0


def test_a_dependency_that_cannot_be_installed_names_the_lock(tmp_path: Path) -> None:
    root = copy_of_repository(tmp_path)
    lock = root / "handlers" / "requirements.lock"
    lock.write_text(f"jmespath==1.0.1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(PackageError, match=f"{lock} cannot be installed for lambda"):
        build_function_package(platform="lambda", root=root)
    assert not list((root / "build" / "package").glob("tmp*"))


def test_a_release_is_named_by_its_hash_and_changes_with_a_migration(tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", migrations, copy_function=shutil.copyfile)
    first = build_release(migrations, folder=tmp_path / "one")
    again = build_release(ROOT / "migrations", folder=tmp_path / "two")
    assert first.sha256 == again.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.path.name == f"{first.sha256}.zip"
    with (migrations / "001_create_scanner_tables.sql").open("a") as file:
        file.write("-- changed\n")
    assert build_release(migrations, folder=tmp_path / "one").sha256 != first.sha256


def test_an_unchanged_release_is_not_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_release(folder=tmp_path)
    monkeypatch.setitem(sys.modules, "stacks.assets.manifest", None)  # an import would fail now
    assert build_release(folder=tmp_path) == first
    first.path.unlink()
    with pytest.raises(ImportError):
        build_release(folder=tmp_path)


def test_every_module_that_decides_on_a_release_is_in_its_fingerprint() -> None:
    code = (
        "import sys, stacks.assets.manifest;"
        "print(*(module.__file__ for name, module in sys.modules.items() if name.startswith(('handlers.', 'stacks.'))))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {Path(file) for file in printed.stdout.split() if not file.endswith("__init__.py")}
    assert imported
    assert imported <= set(package_module.RELEASE_MAKERS)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("001_create.sql", '001_create.sql, line 2: syntax error at or near "TABEL"'),
        ("create.sql", "create.sql is not named like 003_add_a_thing.sql"),
    ],
)
def test_make_package_tells_what_is_wrong_with_a_migration_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str, message: str
) -> None:
    (tmp_path / file).write_text("\nCREATE TABEL jobs ();\n")
    monkeypatch.setattr(sys, "argv", ["package"])
    monkeypatch.setattr(package_module, "build_function_package", lambda **_: None)
    monkeypatch.setattr(package_module, "build_release", functools.partial(build_release, tmp_path, folder=tmp_path))
    assert package_module.main() == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}/{message}")


def test_main_names_file_and_line_of_a_migration_that_postgresql_refuses(tmp_path: Path) -> None:
    (tmp_path / "001_create.sql").write_text("\nCREATE TABEL jobs ();\n")
    with pytest.raises(RuntimeError) as failed:
        run_main("dev", outdir=tmp_path / "out", variables={"SCANNER__RELEASE__MIGRATIONS": str(tmp_path)})
    assert str(failed.value).startswith(f'{tmp_path}/001_create.sql, line 2: syntax error at or near "TABEL"')
