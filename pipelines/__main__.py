"""The command line: ``python -m pipelines <command> [--help]``."""

import argparse
import ast
import contextlib
import importlib
import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

from pipelines.context import Context
from pipelines.core.errors import FAILURE, MAY_PASS, RecoMartError, ServiceError
from pipelines.core.redaction import Redacting
from pipelines.settings import Settings

COMMANDS: Final = {
    # the shop's data, stage by stage (dvc.yaml)
    "ingest": "pipelines.stages.ingest",
    "validate": "pipelines.stages.validate",
    "prepare": "pipelines.stages.prepare",
    "features": "pipelines.stages.features",
    "publish": "pipelines.stages.publish",
    "assemble": "pipelines.stages.assemble",
    "train": "pipelines.stages.train",
    "evaluate": "pipelines.stages.evaluate",
    "register": "pipelines.stages.register",
    # around them
    "connect": "pipelines.commands.connect",
    "simulate": "pipelines.commands.simulate",
    "catalogue": "pipelines.commands.catalogue",
    "quarantine": "pipelines.commands.quarantine",
    "replay": "pipelines.commands.replay",
    "withdraw": "pipelines.commands.withdraw",
    "products": "pipelines.commands.products",
    "export": "pipelines.commands.export",
    "views": "pipelines.commands.views",
    "materialize": "pipelines.commands.materialize",
    "audit": "pipelines.commands.audit",
    "push": "pipelines.commands.push",
    "live": "pipelines.commands.live",
    "freshness": "pipelines.commands.freshness",
    "drift": "pipelines.commands.drift",
    "benchmark": "pipelines.commands.benchmark",
    "recommend": "pipelines.commands.recommend",
    "up": "pipelines.commands.up",
    "down": "pipelines.commands.down",
    "status": "pipelines.commands.status",
    "env": "pipelines.commands.env",
    "pipeline": "pipelines.commands.pipeline",
    "backfill": "pipelines.commands.backfill",
    "schedule": "pipelines.commands.schedule",
    "lineage": "pipelines.commands.lineage",
    "models": "pipelines.commands.models",
    "rollback": "pipelines.commands.rollback",
    "search": "pipelines.commands.search",
    "experiment": "pipelines.commands.experiment",
    "keys": "pipelines.commands.keys",
    "serve": "pipelines.commands.serve",
    "ui": "pipelines.commands.ui",
    "demo": "pipelines.commands.demo",
}
"""Command -> module: a docstring (its help), ``run(context)`` and, where it takes arguments, ``configure(parser)``."""

DISK_FULL: Final = ("No space left on device", "Disk quota exceeded", "disk is full")
"""How the system, DuckDB and Postgres, and SQLite say it."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code.

    0 done, 1 a readable error, 2 wrong usage, 75 a server that doesn't answer as it must, 130 interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    name = next((a for a in argv if not a.startswith("-")), None)
    try:
        args = _parser(name).parse_args(argv)  # imports the command, which may take long enough to be interrupted
        return _run(args)
    except KeyboardInterrupt:
        print(f"{name or 'pipelines'}: interrupted", file=sys.stderr)  # noqa: T201
        return 130


def _run(args: argparse.Namespace) -> int:
    try:
        settings = Settings.load(Path.cwd(), os.environ)
        _log_to(settings, args.command, debug=args.debug)
        started = time.monotonic()
        importlib.import_module(COMMANDS[args.command]).run(Context(args, settings))
        logging.getLogger("pipelines").debug("%s: done in %.1f s", args.command, time.monotonic() - started)
        return 0
    except Exception as error:
        readable = _readable(error)
        _record(readable or f"{type(error).__name__}: {error}")
        if args.debug or readable is None:
            raise
        logging.getLogger("pipelines").debug("failed", exc_info=True)
        print(f"{args.command}: {readable}", file=sys.stderr)  # noqa: T201
        return MAY_PASS if isinstance(error, ServiceError) and readable == str(error) else 1


def _record(reason: str) -> None:
    """Leave why the command failed where its starter looks for it."""
    if path := os.environ.get(FAILURE):
        with contextlib.suppress(OSError):  # the disk may be full
            Path(path).write_text(reason, encoding="utf-8")


def _readable(error: Exception) -> str | None:
    """The line for a person; None for what only a mistake in the code can have raised.

    A full disk shows in whatever was writing, so it is told here: as the system's error, or in a database's words.
    """
    if isinstance(error, RecoMartError) and not any(words in str(error) for words in DISK_FULL):
        return str(error)
    if any(words in str(error) for words in DISK_FULL):
        return "the disk is full: free some space and run the same command again, it goes on from what is whole"
    if isinstance(error, PermissionError):
        return f"{error.filename}: {error.strerror}: whose is it? This command needs to write there"
    return None


def _parser(name: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command, module_name in COMMANDS.items():
        if command != name:  # importing a stage is slow: only the one that is asked for
            subparsers.add_parser(command, help=_first_line(module_name) if name is None else None)
            continue
        module = importlib.import_module(module_name)
        sub = subparsers.add_parser(command, description=module.__doc__)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if hasattr(module, "configure"):
            module.configure(sub)
    return parser


def _first_line(module_name: str) -> str:
    """The first line of a module's docstring, without importing it."""
    path = Path(__file__).parents[1].joinpath(*module_name.split(".")).with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _log_to(settings: Settings, command: str, debug: bool) -> None:
    """Log to stderr (short) and to ``logs/<command>.log`` (with time and level)."""
    folder = settings.root / "logs"
    folder.mkdir(exist_ok=True)
    file = logging.FileHandler(folder / f"{command}.log", encoding="utf-8")
    file.setFormatter(Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    screen = logging.StreamHandler()
    screen.setFormatter(Redacting(f"{command}: %(message)s"))
    screen.setLevel(logging.DEBUG if debug else settings.log_level.upper())
    logging.raiseExceptions = False  # a full disk shall not fill the screen with the log's own tracebacks
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(file)
    root.addHandler(screen)
    root.setLevel(logging.WARNING)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of what it then raises
    for package in ("pipelines", "serving"):
        logging.getLogger(package).setLevel(logging.DEBUG)


if __name__ == "__main__":
    sys.exit(main())
