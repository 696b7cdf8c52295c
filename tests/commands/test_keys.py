import os
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.core import api_keys
from pipelines.settings import Settings


@pytest.fixture
def cli(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command line works on the test's own Postgres, in its own folder."""
    os.environ.update(settings.exported())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_key_is_printed_once_and_never_logged(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "shop", "--scope", "read", "--scope", "write", "--rate-limit", "5"]) == 0
    printed = capsys.readouterr()
    parsed = api_keys.parse(printed.out.strip())
    assert parsed is not None
    key_id, secret = parsed
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert listed.splitlines()[1].split()[:4] == [key_id, "shop", "read,write", "5"]
    assert main(["keys", "revoke", key_id]) == 0
    assert main(["keys", "list"]) == 0
    last = capsys.readouterr()
    assert not last.out.splitlines()[1].endswith("-")
    everything = printed.err + listed + last.out + last.err + (cli / "logs/keys.log").read_text()
    assert secret not in everything


def test_unknown_key_is_a_readable_error(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "revoke", "nobody"]) == 1
    assert "there is no key nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [["create", "shop"], ["create", "shop", "--scope", "all"], ["create", "s", "--scope", "read", "--rate-limit", "0"]],
)
def test_wrong_usage_makes_no_key(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["keys", *wrong])
