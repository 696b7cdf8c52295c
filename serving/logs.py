"""Logs as JSON, one object a line, on stderr, without secrets."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pipelines.core.redaction import may_hold_secrets, redacted

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, what ``extra`` added, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        quick = _quick(line)
        return _clean(line) if quick is None or may_hold_secrets(quick) else quick


def _quick(line: dict[str, Any]) -> str | None:
    """The line as it is; None where orjson doesn't take it."""
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:  # halves of surrogate pairs, huge numbers
        return None


def _clean(line: dict[str, Any]) -> str:
    """The line without the secrets in it."""
    clean = {name: redacted(value) if isinstance(value, str) else value for name, value in line.items()}
    return json.dumps(clean, ensure_ascii=False, separators=(",", ":"), default=lambda value: redacted(str(value)))


def to_stderr(level: str) -> None:
    """Send the log lines of ``serving`` and ``pipelines`` to stderr, once however often it is called.

    Where uvicorn runs the service, what it says of itself comes in the same form.
    """
    for name in ("serving", "pipelines"):
        logger = logging.getLogger(name)
        logger.setLevel(level.upper())
        if not any(isinstance(h.formatter, JsonLines) for h in logger.handlers):
            handler = logging.StreamHandler()
            handler.setFormatter(JsonLines())
            logger.addHandler(handler)
    for own in logging.getLogger("uvicorn").handlers:
        own.setFormatter(JsonLines())
