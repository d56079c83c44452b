"""`scannerdb cost`: the monthly bill of an environment, from its settings."""

import json
import os
from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table

from scannerdb.cost.bill import BillItem, Use, bill
from scannerdb.cost.prices import PRICES, Prices
from scannerdb.numbers import Number, WholeNumber
from scannerdb.options import deployment_option, environment_file, json_option
from stacks.settings import Settings, load_settings
from stacks.settings.profiles import PROFILES

NOT_COUNTED = (
    "Not counted: backups beyond the size of the database, storage that autoscaling adds, data through endpoints and "
    "between zones, CPU credits, requests to the key, the secret and the bucket, messages, the scanner itself."
)


@click.command()
@deployment_option
@click.option("--profiles", is_flag=True, help="Compare the sizes of it, small to huge.")
@click.option("--requests-per-day", type=WholeNumber(0), default=Use.requests_per_day, show_default=True)
@click.option("--logs-gib-per-day", type=Number(0), default=Use.logs_gib_per_day, show_default=True)
@click.option("--cluster-gib", type=WholeNumber(0), default=Use.cluster_gib, show_default=True)
@click.option("--cluster-io-millions", type=WholeNumber(0), default=Use.cluster_io_millions, show_default=True)
@click.option("--free-tier", is_flag=True, help="Subtract AWS's monthly free tier of an account.")
@json_option
def cost(
    environment: str,
    requests_per_day: int,
    logs_gib_per_day: float,
    cluster_gib: int,
    cluster_io_millions: int,
    *,
    profiles: bool,
    free_tier: bool,
    as_json: bool,
) -> None:
    """Estimate the monthly bill of an environment, resource by resource.

    It needs no AWS account: the prices are those of scannerdb/cost/prices.toml, with their date and pages. * marks a
    price that could not be verified, ~ a line whose quantity is an assumption.

    \b
    scannerdb cost -e prod
    scannerdb cost -e prod --requests-per-day 1000000 --logs-gib-per-day 2
    scannerdb cost -e prod --json | jq .usd_per_month
    scannerdb cost -e dev --profiles             the sizes compared, of which huge is a cluster
    SCANNER__DATABASE__MULTI_AZ=false scannerdb cost -e prod
    """  # noqa: D301
    use = Use(
        requests_per_day=requests_per_day,
        logs_gib_per_day=logs_gib_per_day,
        cluster_gib=cluster_gib,
        cluster_io_millions=cluster_io_millions,
        free_tier=free_tier,
    )
    file = environment_file(environment)
    if profiles:
        sizes = {size: load_settings(file, {**os.environ, "SCANNER__SIZE": size}) for size in PROFILES}
        bills = {size: bill(settings, use) for size, settings in sizes.items()}
        _print_profiles(bills, sizes["small"], as_json=as_json)
        return
    settings = load_settings(file)
    lines = bill(settings, use)
    if as_json:
        click.echo(json.dumps(_fields(settings, lines)))
    else:
        _print_bill(settings, lines)


def _fields(settings: Settings, lines: list[BillItem]) -> dict[str, object]:
    return {
        "environment": settings.environment,
        "region": settings.region,
        "currency": "USD",
        "usd_per_month": round(_total(lines), 2),
        "prices_of": Prices.of(settings.region).date,
        "lines": [
            {
                "resource": line.resource,
                "quantity": round(line.quantity, 6),
                "unit": line.price.unit,
                "usd_per_unit": line.price.usd,
                "usd_per_month": round(line.usd, 2),
                "assumes": line.assumes,
                "verified": line.price.verified,
                "page": line.price.page,
            }
            for line in lines
        ],
    }


def _print_bill(settings: Settings, lines: list[BillItem]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("resource")
    table.add_column("USD a month", justify="right", no_wrap=True)
    table.add_column("quantity", justify="right", no_wrap=True)
    table.add_column("of", overflow="fold")
    for line in lines:
        marks = f"{'~' if line.assumes else ''}{'' if line.price.verified else '*'}"
        quantity = f"{line.quantity:,.0f}" if line.quantity >= 100 else f"{line.quantity:,.3g}"  # noqa: PLR2004
        table.add_row(line.resource, f"{marks} {line.usd:,.2f}", quantity, f"{line.price.unit} at {line.price.usd:g}")
    table.add_row("total", f"{_total(lines):,.2f}", style="bold")
    console = Console(highlight=False, markup=False)
    console.print(f"{settings.environment} in {settings.region}, a month of 730 hours\n", style="bold")
    console.print(table)
    _print_notes(console, settings, lines)


def _print_profiles(bills: dict[str, list[BillItem]], settings: Settings, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({size: _fields(settings, lines) for size, lines in bills.items()}))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("USD a month")
    for size in bills:
        table.add_column(size, justify="right", no_wrap=True)
    by_row = [{line.row or line.resource: line for line in lines} for lines in bills.values()]
    for row in dict.fromkeys(row for lines in sorted(by_row, key=len, reverse=True) for row in lines):
        found = [lines.get(row) for lines in by_row]
        named = {line.resource for line in found if line}
        table.add_row(named.pop() if len(named) == 1 else row, *(f"{line.usd:,.2f}" if line else "" for line in found))
    table.add_row("total", *(f"{_total(lines):,.2f}" for lines in bills.values()), style="bold")
    console = Console(highlight=False, markup=False)
    console.print(table)
    _print_notes(console, settings, [line for lines in bills.values() for line in lines])


def _print_notes(console: Console, settings: Settings, lines: list[BillItem]) -> None:
    prices = Prices.of(settings.region)
    assumed = "; ".join(dict.fromkeys(line.assumes for line in lines if line.assumes))
    notes = (
        f"List prices on demand, before tax and discounts, as scannerdb/cost/{PRICES.name} had them on {prices.date}.",
        f"~ assumes {assumed}.",
        "* is not verified: see the table." if any(not line.price.verified for line in lines) else "",
        NOT_COUNTED,
        f"Nor {settings.database.existing_identifier}, which exists: its instance, storage and secret."
        if settings.database.existing_identifier
        else "",
    )
    for note in filter(None, notes):
        console.print(f"\n{note}", style="dim", end="")
    console.print()


def _total(lines: Iterable[BillItem]) -> float:
    return sum(line.usd for line in lines)
