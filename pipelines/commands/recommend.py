"""Recommend to all users at once, into a Parquet file: for mails, or a cache."""

import argparse
import logging
import time
from pathlib import Path

from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError, ModelError
from pipelines.core.models.bundle import Bundle
from pipelines.io import tables
from pipelines.io.models import registry, rule_file, shop_rules
from pipelines.io.models.fetched_models import FetchedModels
from pipelines.io.progress import counting
from pipelines.settings import Settings

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the file, the users, how much and by which model."""
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="a .parquet file")
    parser.add_argument("--k", type=int, default=10, metavar="N", help="items a user, 1 to 100 (default %(default)s)")
    parser.add_argument("--users", type=Path, metavar="FILE", help="these users, one id a line (default: all it knows)")
    parser.add_argument("--version", type=int, metavar="N", help="by this version of the model (default: the champion)")


def run(context: Context) -> None:
    """Write the lists, batch by batch; the file is whole or not there.

    Raises:
        ConfigError: the file's name, ``--k`` or a rule can't be.
        InputError: the file of users can't be read.
        ServiceError: MLflow, Postgres or Redis doesn't answer.
        ModelError: there is no model yet, or it can't be used.
    """
    started, args = time.monotonic(), context.args
    if args.out.suffix != ".parquet":
        raise ConfigError(f"{args.out}: the file's name must end in .parquet")
    if not 1 <= args.k <= 100:
        raise ConfigError(f"--k {args.k}: 1 to 100 items can be recommended")
    users = _named(args.users) if args.users else None
    rules = rule_file.load(context.root / context.settings.rules) if context.settings.rules else rule_file.NONE
    version, bundle = _model(context.settings, args.version)
    wanted = bundle.user_ids.tolist() if users is None else users
    from pipelines.io.models import user_lists  # with Feast, which takes seconds

    known = user_lists.read(context.settings, bundle)
    active = shop_rules.in_force(rules, known, time.time())
    with counting("recommending", len(wanted)) as done:
        lists = user_lists.UserLists(known, active).tables(wanted, args.k, done)
        rows = tables.write(args.out, lists, user_lists.SCHEMA)
    seconds = time.monotonic() - started
    log.info("%s: %d items for %d users by version %d, %.1f s", args.out, rows, len(wanted), version, seconds)


def _model(settings: Settings, version: int | None) -> tuple[int, Bundle]:
    number = version if version is not None else registry.champion(settings.mlflow_tracking_uri)
    if number is None:
        raise ModelError("there is no champion yet: run `make train`")
    return number, FetchedModels.of(settings).open(number)


def _named(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read: {error}") from None
    return [line for line in lines if line]
