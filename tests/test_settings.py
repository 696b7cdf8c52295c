from pathlib import Path

import pytest

from pipelines.core.errors import ConfigError
from pipelines.settings import SERVICES_FILE, VARIABLES, Settings, read_env_file


def _services(root: Path, text: str) -> None:
    (root / SERVICES_FILE).parent.mkdir(parents=True)
    (root / SERVICES_FILE).write_text(text, encoding="utf-8")


def test_settings_environment_wins_over_the_services_file(tmp_path: Path) -> None:
    _services(tmp_path, "POSTGRES_HOST=127.0.0.1\nPOSTGRES_PORT=6000\n")
    settings = Settings.load(tmp_path, {"POSTGRES_PORT": "7000"})
    assert (settings.postgres_host, settings.postgres_port) == ("127.0.0.1", 7000)


def test_settings_bad_port_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="POSTGRES_PORT='x'"):
        Settings.load(tmp_path, {"POSTGRES_PORT": "x"})


def test_settings_without_postgres_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make up"):
        _ = Settings.load(tmp_path, {}).postgres_conninfo


def test_settings_conninfo_escapes_the_password(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"POSTGRES_HOST": "db", "POSTGRES_PASSWORD": "a/b@c"})
    assert "recomart:a%2Fb%40c@db:5432/recomart" in settings.postgres_conninfo


def test_settings_exports_redis_in_feasts_form(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"POSTGRES_HOST": "db", "REDIS_URL": "rediss://me:p%40ss@cache:6380/2"})
    assert settings.exported()["FEAST_REDIS"] == "cache:6380,db=2,username=me,password=p@ss,ssl=true"


def test_settings_repr_hides_secrets(tmp_path: Path) -> None:
    secrets = {"POSTGRES_PASSWORD": "hunter2", "REDIS_URL": "redis://:hunter2@h", "RECOMART_CATALOGUE_TOKEN": "hunter2"}
    settings = Settings.load(tmp_path, secrets)
    assert settings.catalogue_token == "hunter2"
    assert "hunter2" not in repr(settings)


def test_settings_every_field_has_a_variable() -> None:
    assert set(VARIABLES) == set(Settings.model_fields) - {"root"}


def test_read_env_file_names_the_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("A=1\nnonsense\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"x\.env:2"):
        read_env_file(path)
