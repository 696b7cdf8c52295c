import argparse
from pathlib import Path

import pytest

from pipelines.commands import demo, programs
from pipelines.context import Context
from pipelines.core.errors import ConfigError
from pipelines.settings import VARIABLES, Settings


def test_demo_does_not_open_itself_to_others(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"RECOMART_API_HOST": "0.0.0.0"})
    with pytest.raises(ConfigError, match="this machine only"):
        demo.run(Context(argparse.Namespace(), settings))
    assert list(tmp_path.iterdir()) == []


def test_demo_asks_for_no_keys_unless_the_environment_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(tmp_path, {})
    free = demo._unguarded(settings)
    assert (free.auth, free.rate_limit) == ("off", 0)
    monkeypatch.setenv("RECOMART_AUTH", "required")
    asked = demo._unguarded(Settings.load(tmp_path, {"RECOMART_AUTH": "required"}))
    assert (asked.auth, asked.rate_limit) == ("required", 0)


def test_service_is_told_all_that_guards_it(tmp_path: Path) -> None:
    environ = {
        "RECOMART_AUTH": "required",
        "RECOMART_RATE_LIMIT": "5",
        "RECOMART_LOG_SECRET": "s",
        "RECOMART_METRICS_OPEN": "false",
    }
    settings = Settings.load(tmp_path, environ)
    told = programs._guarded(settings)
    assert set(told) == {VARIABLES[name] for name in programs.GUARDING}
    assert Settings.load(tmp_path, told) == settings
