"""Everything from nothing: services, a shop, the whole pipeline, the HTTP service, and one recommendation."""

import argparse
import json
import logging
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from pipelines import flow
from pipelines.commands import connect, programs, simulate
from pipelines.context import Context
from pipelines.core.errors import ConfigError, ServiceError
from pipelines.core.hosts import is_loopback
from pipelines.io import duck, files, services
from pipelines.io.models import registry
from pipelines.settings import VARIABLES, Settings

log = logging.getLogger(__name__)

SHOP: Final = "data/demo"
K: Final = 5
PATIENCE_S: Final = 90


def configure(parser: argparse.ArgumentParser) -> None:
    """Take what `simulate` and `connect` take."""
    simulate.configure(parser)
    connect.configure(parser)


def run(context: Context) -> None:
    """Run it all; what is there already is used again.

    Raises:
        ConfigError: others than this machine could reach the service, which has no keys in the demo.
    """
    if not is_loopback(context.settings.api_host):
        raise ConfigError(
            f"RECOMART_API_HOST={context.settings.api_host}: the demo asks for no API keys, so it listens on this "
            "machine only; `make pipeline serve` serves others"
        )
    took: dict[str, float] = {}
    with _timed(took, "services"):
        settings = services.up(context.root, os.environ)
    with flow.alone(context.root):
        with _timed(took, "shop"):
            _connect(context, settings)
        with _timed(took, "pipeline"):
            flow.run(settings)
    with _timed(took, "service"):
        address = programs.serve(_unguarded(settings), bool(os.environ.get(VARIABLES["api_port"])))
        _await_champion(settings, address)
    _show(settings, address, took)


def _unguarded(settings: Settings) -> Settings:
    """Neither keys nor rate limits, unless the environment says otherwise."""
    free: dict[str, Any] = {"auth": "off", "rate_limit": 0}
    return settings.model_copy(update={k: v for k, v in free.items() if not os.environ.get(VARIABLES[k])})


@contextmanager
def _timed(took: dict[str, float], what: str) -> Iterator[None]:
    log.info("%s …", what)
    started = time.monotonic()
    yield
    took[what] = time.monotonic() - started


def _connect(context: Context, settings: Settings) -> None:
    """Connect the shop that the arguments name, else the simulated one, made first where it isn't there.

    Raises:
        ConfigError: the arguments name a shop by half.
    """
    args = context.args
    if args.clickstream is None and (args.source != connect.DEFAULT_SOURCE or args.catalogue_url):
        raise ConfigError("a shop of your own needs its log: name the files with --clickstream (make: CLICKSTREAM=…)")
    if args.clickstream is None:
        if not _is_simulated(context):
            simulate.run(context)
        url = programs.serve_catalogue(context.root)
        here = {"shop": _name(context), "clickstream": [f"{SHOP}/clickstream"], "catalogue_url": url}
        args = argparse.Namespace(**vars(args) | here)
    connect.connect(Context(args, settings))


def _is_simulated(context: Context) -> bool:
    """Whether the shop on disk is the one that the arguments describe; a day's age doesn't make it another one."""
    description = context.root / SHOP / "simulation.json"
    if not description.exists():
        return False
    args, there = context.args, files.read_json(description)["parameters"]
    same = all(there[name] == getattr(args, name) for name in ("users", "items", "days", "seed"))
    same = same and there.get("gzip", False) == args.gzip
    return same and args.end in (None, datetime.fromisoformat(there["end"]).date())


def _name(context: Context) -> str:
    """A name that changes with the simulation: two of them never mix in one lake."""
    there = files.read_json(context.root / SHOP / "simulation.json")["parameters"]
    name = "simulated-" + "-".join(str(there[name]) for name in ("users", "items", "days", "seed", "end"))
    return name + ("-gz" if there.get("gzip") else "")


def _await_champion(settings: Settings, address: str) -> None:
    """Wait until the service has taken up the champion: one that ran before looks for it every half minute.

    Raises:
        ServiceError: it didn't within a minute and a half.
    """
    champion, deadline = registry.champion(settings.mlflow_tracking_uri), time.monotonic() + PATIENCE_S
    while (served := _get(f"{address}/ready")["parts"]["model"]["version"]) != str(champion):
        if time.monotonic() > deadline:
            raise ServiceError(f"{address} still serves model version {served}, not {champion}: see logs/api.log")
        time.sleep(1)


def _show(settings: Settings, address: str, took: dict[str, float]) -> None:
    """Print a recommendation for the user who was active last, and what to do next."""
    user_id, history = _newest_user(settings)
    query = urllib.parse.urlencode({"user_id": user_id, "k": K})
    answer = _get(f"{address}/recommend?{query}")
    lines = [f"{user_id} last looked at: {'; '.join(history)}", f"GET {address}/recommend?{query}"]
    lines += [f"  {i['rank']}. {i['title']}  {_price(i['price'])}  ({i['reason']})" for i in answer["items"]]
    lines += [
        f"{answer['strategy']}, model version {answer['model_version']}",
        "",
        f"service    {address}   (try {address}/docs)",
        f"report     {settings.root / 'data/reports/evaluation/report.md'}",
        f"took       {' · '.join(f'{what} {seconds:.0f} s' for what, seconds in took.items())}",
        "stop       make down",
    ]
    print("\n".join(["", *lines]))  # noqa: T201  the demo's answer


def _newest_user(settings: Settings) -> tuple[str, list[str]]:
    """The user of the newest event, and the titles of the last three different items."""
    data = settings.root / "data/processed"
    rows = (
        duck.connect()
        .raw_sql(
            f"""
            WITH e AS (SELECT * FROM '{data}/prepared_interactions.parquet'),
                 u AS (SELECT user_id FROM e ORDER BY timestamp DESC, event_id DESC LIMIT 1),
                 p AS (SELECT item_id, arg_max(title, valid_from) AS title FROM '{data}/products.parquet' GROUP BY 1)
            SELECT e.user_id, p.title FROM e JOIN u USING (user_id) JOIN p USING (item_id)
            GROUP BY e.user_id, p.title ORDER BY max(e.timestamp) DESC, p.title LIMIT 3
            """
        )
        .fetchall()
    )
    return str(rows[0][0]), [str(title) for _, title in rows]


def _price(price: float | None) -> str:
    return "" if price is None else f"{price:.2f}"


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)
