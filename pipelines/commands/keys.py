"""Make, list and revoke the API keys of the service.

`create` prints the key on stdout, this once: only its SHA-256 is kept. Services take a new key up, and stop to take a
revoked one, within ten seconds.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from pipelines.context import Context
from pipelines.core.api_keys import ApiKey, Scope
from pipelines.io import postgres
from pipelines.io.live import api_keys

log = logging.getLogger(__name__)

HEADER = ("ID", "NAME", "SCOPES", "REQUESTS/S", "CREATED", "REVOKED")


def configure(parser: argparse.ArgumentParser) -> None:
    """Take what to do, and with which key."""
    what = parser.add_subparsers(dest="what", required=True, metavar="create|list|revoke")
    create = what.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name", help="whom or what it is for")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=[*Scope],
        help="read: recommendations and features; write: events; admin: all, erasure and replay too; may be repeated",
    )
    create.add_argument(
        "--rate-limit", type=_rate, metavar="N", help="requests a second; else the service's RECOMART_RATE_LIMIT"
    )
    what.add_parser("list", help="all keys, without their secrets")
    revoke = what.add_parser("revoke", help="make a key worthless, for good")
    revoke.add_argument("id", help="the key's id, as `list` shows it")


def run(context: Context) -> None:
    """Do it.

    Raises:
        InputError: there is no such key.
        ServiceError: Postgres doesn't answer.
    """
    args = context.args
    with postgres.connect(context.settings) as connection:
        if args.what == "create":
            key = api_keys.create(connection, args.name, {Scope(scope) for scope in args.scope}, args.rate_limit)
            connection.commit()  # before anybody has it
            sys.stdout.write(f"{key}\n")
            log.info("keep it: it isn't shown again")
        elif args.what == "revoke":
            revoked = api_keys.revoke(connection, args.id)
            log.info("%s (%s) is revoked", revoked.id, revoked.name)
        else:
            sys.stdout.write("".join(f"{line}\n" for line in _table(api_keys.every(connection))))


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError("more than 0 requests a second")
    return rate


def _table(keys: Sequence[ApiKey]) -> list[str]:
    rows = [HEADER, *(_row(key) for key in keys)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(key: ApiKey) -> tuple[str, ...]:
    rate = "default" if key.rate_limit is None else f"{key.rate_limit:g}"
    revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "-"
    return key.id, key.name, ",".join(sorted(key.scopes)), rate, f"{key.created_at:%Y-%m-%d %H:%M}", revoked
