"""Bring acknowledged events online: into the users' sessions and features, again where Redis lost them.

It runs until it is stopped. Several may run: one works, the others stand by.
"""

import argparse
import signal
import threading

from pipelines.context import Context
from pipelines.core.errors import ServiceError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the check."""
    parser.add_argument("--check", action="store_true", help="only tell, by the exit code, whether one works now")


def run(context: Context) -> None:
    """Push until SIGTERM or SIGINT.

    Raises:
        ServiceError: with ``--check``: none works now.
        ConfigError: no Postgres or no Redis is named and none was started.
    """
    settings = context.settings
    if context.args.check:
        from pipelines.io.live import live_owner

        if not live_owner.is_there(settings):
            raise ServiceError("no process brings events online: `make serve` starts one")
        return
    settings.exported()  # both servers are named, or this says so
    from pipelines.io.live.live_pusher import Pusher  # imports Feast, which takes seconds

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    Pusher(settings, context.params.prepare).run(stopping)
