"""Serve a catalogue file over HTTP, as a shop's API would."""

import argparse
import logging
from pathlib import Path

import uvicorn

from pipelines.context import Context
from pipelines.core.errors import ConfigError
from pipelines.io.intake.catalogue_server import create_catalogue

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare where it listens and what it serves."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="port (default %(default)s)")
    parser.add_argument("--file", type=Path, default=Path("data/demo/catalogue.json"), help="default %(default)s")
    parser.add_argument("--envelope", action="store_true", help="answer as DummyJSON: {products, total, skip, limit}")
    parser.add_argument("--protected", action="store_true", help="demand the token of RECOMART_CATALOGUE_TOKEN")


def run(context: Context) -> None:
    """Serve until interrupted.

    Raises:
        ConfigError: a token shall be demanded, and none is set.
        InputError: the file is missing or not JSON.
    """
    args = context.args
    token = context.settings.catalogue_token if args.protected else None
    if args.protected and token is None:
        raise ConfigError("--protected needs the token to demand: set RECOMART_CATALOGUE_TOKEN")
    app = create_catalogue(context.root / args.file, args.envelope, token)
    log.info("http://%s:%d/products serves %s", args.host, args.port, args.file)
    uvicorn.run(app, host=args.host, port=args.port, log_level="warning", access_log=False)
