"""Tell a webhook how a run ended. A notice that doesn't arrive is a warning, never the run's failure."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from pipelines.core.errors import StageError
from pipelines.settings import Settings

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 3
PAUSE_S: Final = 1.0


@contextmanager
def told(settings: Settings, run: str) -> Iterator[None]:
    """Send a notice of how the body ended, if the settings want one; ``run`` names it for people."""
    began, started_at = time.monotonic(), datetime.now(UTC)
    try:
        yield
    except Exception as error:
        send(settings, notice(run, started_at, time.monotonic() - began, error))
        raise
    if settings.webhook_on == "always":
        send(settings, notice(run, started_at, time.monotonic() - began))


def notice(run: str, started_at: datetime, seconds: float, error: Exception | None = None) -> dict[str, Any]:
    """What is posted: ``text`` is one line, as Slack shows it; ``stage`` and ``error`` are null after a success."""
    host, stage = socket.gethostname(), getattr(error, "stage", None)
    reason = None if error is None else error.reason if isinstance(error, StageError) else str(error)
    ending = "done" if error is None else f"failed at {stage}" if stage else "failed"
    text = f"RecoMart {run} on {host}: {ending} after {seconds:.0f} s"
    return {
        "text": text if reason is None else f"{text}: {reason.partition(chr(10))[0]}",
        "status": "success" if error is None else "failure",
        "stage": stage,
        "error": reason,
        "seconds": round(seconds, 1),
        "started_at": started_at.isoformat(timespec="seconds"),
        "host": host,
        "run": run,
    }


def send(settings: Settings, content: dict[str, Any]) -> None:
    """Post ``content`` to the webhook, if one is set; after its last attempt it only warns.

    The address is a secret for many services: only its host is logged.
    """
    if settings.webhook_url is None:
        return
    import httpx

    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            answer = httpx.post(settings.webhook_url, json=content, timeout=TIMEOUT_S)
            if answer.is_success:
                return
            problem = f"answered {answer.status_code}"
            if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = type(error).__name__
        if attempt < ATTEMPTS - 1:
            time.sleep(PAUSE_S)
    log.warning("no notice sent: %s %s", urlsplit(settings.webhook_url).hostname or "RECOMART_WEBHOOK_URL", problem)
