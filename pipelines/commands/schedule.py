"""Run the pipeline on a schedule, every night unless told otherwise; the runs are in Prefect's web page."""

import argparse
import logging
import os
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.commands import programs
from pipelines.context import Context
from pipelines.core.errors import ConfigError

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare when to run."""
    parser.add_argument("--cron", default="0 3 * * *", help="minute hour day month weekday (default %(default)s)")
    parser.add_argument("--timezone", type=_zone, default="UTC", help="time zone of --cron (default %(default)s)")
    parser.add_argument("--foreground", action="store_true", help="be the scheduler, for a container: don't return")


def run(context: Context) -> None:
    """Have the Prefect server and the scheduler run until `down`.

    Raises:
        ServiceError: one of them doesn't start.
        ConfigError: in the foreground: the schedule can't be read, or no Prefect server is named.
    """
    args = context.args
    if args.foreground:
        if context.settings.prefect_api_url is None:
            raise ConfigError("the scheduler needs a Prefect server: name it with PREFECT_API_URL")
        os.environ.update(programs.prefect_environment(context.settings))
        from pipelines import prefect_flow

        prefect_flow.serve(args.cron, args.timezone)
        return
    page = programs.serve_prefect(context.settings)
    programs.serve_scheduler(context.settings, page, args.cron, args.timezone)
    log.info("the pipeline runs at %r (%s): see %s; stop it with `make down`", args.cron, args.timezone, page)


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{name!r} is no time zone; they are named as Europe/London") from None
