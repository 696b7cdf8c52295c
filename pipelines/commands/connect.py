"""Connect a shop: check its log and its catalogue, and remember them in data/source.yaml."""

import argparse
import logging
import re
from datetime import date
from pathlib import Path
from typing import Final, get_args

from pipelines import flow
from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.core.lake.paging import Paging
from pipelines.io.intake import copying, lake, sources
from pipelines.io.intake.catalogue_client import fetch_products

log = logging.getLogger(__name__)

SIMULATED: Final = "data/demo/clickstream"
DEFAULT_SOURCE: Final = "clickstream"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the mapping, the log and the catalogue."""
    parser.add_argument(
        "--source",
        default=DEFAULT_SOURCE,
        help="a mapping of pipelines/sources or a .yaml file (default %(default)s)",
    )
    parser.add_argument("--clickstream", nargs="+", metavar="PATH", help=f"files or folders (default {SIMULATED})")
    parser.add_argument(
        "--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="leave out files dated before it in their name"
    )
    parser.add_argument("--catalogue-url", metavar="URL", help="the catalogue's API; none where it comes from the log")
    parser.add_argument(
        "--catalogue-paging",
        choices=get_args(Paging),
        default="skip",
        help="how the API is asked: limit and skip, or page and per_page (default %(default)s)",
    )
    parser.add_argument("--shop", metavar="NAME", help="tells shops of one mapping apart (default: the mapping's name)")


def run(context: Context) -> None:
    """Connect the shop, once no other run works on the lake."""
    with flow.alone(context.root):
        connect(context)


def connect(context: Context) -> None:
    """Write ``data/source.yaml`` once everything it names has been tried.

    Another shop's raw lake is set aside under ``data/shops``; connecting that shop again brings it back.

    Raises:
        ConfigError: a mapping, path or URL is missing or wrong.
        InputError: no file of the log is what its name says and has the columns that the mapping names.
        ServiceError: the catalogue's API doesn't answer.
    """
    args, root = context.args, context.root
    mapping = sources.load_mapping(args.source, root)
    if not re.fullmatch(sources.SHOP, shop := args.shop or mapping.name):
        raise ConfigError(f"the shop's name {shop!r} has other characters than letters, digits, '_', '.' and '-'")
    connection = sources.Connection(
        shop=shop,
        source=args.source,
        clickstream=args.clickstream or [SIMULATED],
        since=args.since,
        catalogue_url=args.catalogue_url,
        catalogue_paging=args.catalogue_paging,
    )
    found = sources.log_files(connection.clickstream, root)
    _check_files(found, mapping)
    known = _check_catalogue(mapping, connection, context.settings.catalogue_token)
    with lake.alone(root):
        lake.switch(root, shop)
        sources.write_connection(root, connection)
    log.info("%s: %d files, %s", shop, len(found), known)


def _check_files(found: list[Path], mapping: SourceMapping) -> None:
    """See that the mapping fits; a file that it doesn't fit is named, and a matter of ingest where it fits others.

    Raises:
        InputError: it fits none.
    """
    refused: list[InputError] = []
    for path in found:
        try:
            copying.check(path, mapping)
        except InputError as error:
            refused.append(error)
    if len(refused) == len(found):
        raise refused[0]
    for reason in refused:
        log.warning("ingest will refuse a file: %s", reason)


def _check_catalogue(mapping: SourceMapping, connection: sources.Connection, token: str | None) -> str:
    if mapping.catalogue.origin == "log":
        if connection.catalogue_url:
            raise ConfigError(f"source {mapping.name!r} takes its catalogue from the log: leave out --catalogue-url")
        return "catalogue from the log"
    if not connection.catalogue_url:
        raise ConfigError(
            f"source {mapping.name!r} needs the catalogue's API: name it with --catalogue-url (make: CATALOGUE_URL=…)"
        )
    products = fetch_products(connection.catalogue_url, paging=connection.catalogue_paging, token=token)
    if not products:
        raise ConfigError(f"{connection.catalogue_url} lists no product")
    return f"{len(products)} products at {connection.catalogue_url}"
