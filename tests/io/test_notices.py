"""Notices to a real HTTP server on this machine."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import StageError
from pipelines.io import notices
from pipelines.settings import Settings


class Hook:
    """A webhook that gives the scripted answers, then 200, and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(hook.answers.pop(0) if hook.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/s3cret"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(notices, "PAUSE_S", 0.0)
    hook = Hook()
    threading.Thread(target=hook.server.serve_forever, daemon=True).start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def settings(hook: Hook, root: Path, **environ: str) -> Settings:
    return Settings.load(root, {"RECOMART_WEBHOOK_URL": hook.url} | environ)


def fail(settings: Settings) -> None:
    with notices.told(settings, "pipeline"):
        raise StageError("publish", "Postgres: refused\nmore of it")


def test_failure_is_told_with_stage_and_reason(hook: Hook, tmp_path: Path) -> None:
    with pytest.raises(StageError):
        fail(settings(hook, tmp_path))
    (got,) = hook.got
    assert set(got) == {"text", "status", "stage", "error", "seconds", "started_at", "host", "run"}
    assert (got["status"], got["stage"], got["error"]) == ("failure", "publish", "Postgres: refused\nmore of it")
    assert got["text"] == f"RecoMart pipeline on {got['host']}: failed at publish after 0 s: Postgres: refused"


@pytest.mark.parametrize(("on", "told"), [("failure", 0), ("always", 1)])
def test_success_is_told_where_it_is_asked_for(on: str, told: int, hook: Hook, tmp_path: Path) -> None:
    with notices.told(settings(hook, tmp_path, RECOMART_WEBHOOK_ON=on), "backfill"):
        pass
    assert [(got["status"], got["run"], got["error"]) for got in hook.got] == told * [("success", "backfill", None)]


def test_notice_is_tried_three_times(hook: Hook, tmp_path: Path) -> None:
    hook.answers = [500, 429]
    with pytest.raises(StageError):
        fail(settings(hook, tmp_path))
    assert len(hook.got) == 3


@pytest.mark.parametrize(("answers", "tries"), [([500, 500, 500], 3), ([404], 1)])
def test_notice_that_fails_is_a_warning_without_the_secret(
    answers: list[int], tries: int, hook: Hook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook.answers = list(answers)
    caplog.set_level(logging.DEBUG)
    with notices.told(settings(hook, tmp_path, RECOMART_WEBHOOK_ON="always"), "pipeline"):
        pass
    assert len(hook.got) == tries
    assert f"127.0.0.1 answered {answers[0]}" in caplog.text
    assert "s3cret" not in "".join(record.getMessage() for record in caplog.records if record.name == notices.__name__)


def test_notice_to_nobody_leaves_the_runs_own_error(tmp_path: Path) -> None:
    nobody = Settings.load(tmp_path, {"RECOMART_WEBHOOK_URL": "no url at all"})
    with pytest.raises(StageError, match="Postgres: refused"):
        fail(nobody)


def test_run_without_a_webhook_tells_nobody(hook: Hook, tmp_path: Path) -> None:
    with pytest.raises(StageError):
        fail(Settings.load(tmp_path, {}))
    assert hook.got == []
