"""Where things are: one frozen ``Settings`` from the environment, built once at the edge.

The environment wins; what it leaves unset comes from ``data/services/services.env``, which `make up` writes for
the Postgres and Redis it starts. Nothing is read at import.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ConfigError

SERVICES_FILE: Final = Path("data/services/services.env")

VARIABLES: Final = {
    "postgres_host": "POSTGRES_HOST",
    "postgres_port": "POSTGRES_PORT",
    "postgres_user": "POSTGRES_USER",
    "postgres_password": "POSTGRES_PASSWORD",
    "postgres_db": "POSTGRES_DB",
    "postgres_sslmode": "POSTGRES_SSLMODE",
    "redis_url": "REDIS_URL",
    "mlflow_tracking_uri": "MLFLOW_TRACKING_URI",
    "prefect_api_url": "PREFECT_API_URL",
    "webhook_url": "RECOMART_WEBHOOK_URL",
    "webhook_on": "RECOMART_WEBHOOK_ON",
    "catalogue_token": "RECOMART_CATALOGUE_TOKEN",
    "api_host": "RECOMART_API_HOST",
    "api_port": "RECOMART_API_PORT",
    "workers": "RECOMART_WORKERS",
    "auth": "RECOMART_AUTH",
    "rate_limit": "RECOMART_RATE_LIMIT",
    "max_body_bytes": "RECOMART_MAX_BODY_BYTES",
    "request_timeout_s": "RECOMART_REQUEST_TIMEOUT_S",
    "cors_origins": "RECOMART_CORS_ORIGINS",
    "metrics_open": "RECOMART_METRICS_OPEN",
    "log_secret": "RECOMART_LOG_SECRET",
    "experiments": "RECOMART_EXPERIMENTS",
    "logged_days": "RECOMART_LOGGED_DAYS",
    "logged_rows": "RECOMART_LOGGED_ROWS",
    "replay_rows": "RECOMART_REPLAY_ROWS",
    "rules": "RECOMART_RULES",
    "explore": "RECOMART_EXPLORE",
    "log_level": "RECOMART_LOG_LEVEL",
}
"""Setting -> environment variable. README's table and docker-compose.yml are held to it by a test."""


class Settings(BaseModel):
    """Deployment settings. Secrets don't show in ``repr``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    postgres_host: str | None = None
    postgres_port: int = Field(5432, ge=1, le=65535)
    postgres_user: str = "recomart"
    postgres_password: str = Field("", repr=False)
    postgres_db: str = "recomart"
    postgres_sslmode: str = "prefer"
    redis_url: str | None = Field(None, repr=False)
    mlflow_tracking_uri: str
    prefect_api_url: str | None = None
    webhook_url: str | None = Field(None, repr=False)
    webhook_on: Literal["failure", "always"] = "failure"
    catalogue_token: str | None = Field(None, repr=False)
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=256)
    auth: Literal["auto", "required", "off"] = "auto"
    rate_limit: float = Field(1000, ge=0, allow_inf_nan=False)
    max_body_bytes: int = Field(2 << 20, ge=1)
    request_timeout_s: float = Field(10, gt=0, allow_inf_nan=False)
    cors_origins: str = ""
    metrics_open: bool = True
    log_secret: str | None = Field(None, repr=False)
    experiments: Path | None = None
    logged_days: int = Field(90, ge=1, le=36_500)
    logged_rows: int = Field(1_000_000, ge=1)
    replay_rows: int = Field(20_000, ge=0)
    rules: Path | None = None
    explore: float = Field(0, ge=0, le=0.5, allow_inf_nan=False)
    log_level: str = "INFO"

    @classmethod
    def load(cls, root: Path, environ: Mapping[str, str]) -> "Settings":
        """Build the settings for the checkout at ``root``.

        Raises:
            ConfigError: a variable's value has the wrong form; the text names it.
        """
        embedded = read_env_file(root / SERVICES_FILE)
        if environ.get("POSTGRES_HOST"):  # another server: the embedded one's port and password aren't its own
            embedded = {k: v for k, v in embedded.items() if not k.startswith("POSTGRES_")}
        merged = embedded | {k: v for k, v in environ.items() if v != ""}
        values: dict[str, Any] = {name: merged[var] for name, var in VARIABLES.items() if var in merged}
        values.setdefault("mlflow_tracking_uri", f"sqlite:///{root}/data/services/mlflow/mlflow.db")
        try:
            return cls(root=root, **values)
        except ValidationError as error:
            first = error.errors()[0]
            variable = VARIABLES[str(first["loc"][0])]
            raise ConfigError(f"{variable}={first['input']!r}: {first['msg']}") from None

    @property
    def postgres_conninfo(self) -> str:
        """A libpq connection URI.

        Raises:
            ConfigError: no Postgres is named and none was started.
        """
        if self.postgres_host is None:
            raise ConfigError("no Postgres: start one with `make up`, or name a server with POSTGRES_HOST")
        user, password = quote(self.postgres_user, safe=""), quote(self.postgres_password, safe="")
        return (
            f"postgresql://{user}:{password}@{self.postgres_host}:{self.postgres_port}/{self.postgres_db}"
            f"?sslmode={self.postgres_sslmode}"
        )

    @property
    def redis(self) -> str:
        """The Redis URL.

        Raises:
            ConfigError: no Redis is named and none was started.
        """
        if self.redis_url is None:
            raise ConfigError("no Redis: start one with `make up`, or name a server with REDIS_URL")
        return self.redis_url

    def exported(self) -> dict[str, str]:
        """What a shell needs so that `feast` and `mlflow` find the same servers as the pipelines do.

        ``FEAST_REDIS`` is ``REDIS_URL`` in the form that Feast's configuration takes.
        """
        url = urlsplit(self.redis)
        redis = [f"{url.hostname}:{url.port or 6379}", f"db={url.path.strip('/') or 0}"]
        redis += [f"username={unquote(url.username)}"] if url.username else []
        redis += [f"password={unquote(url.password)}"] if url.password else []
        redis += ["ssl=true"] if url.scheme == "rediss" else []
        self.postgres_conninfo  # noqa: B018  raises where there is no server
        return {
            "POSTGRES_HOST": str(self.postgres_host),
            "POSTGRES_PORT": str(self.postgres_port),
            "POSTGRES_USER": self.postgres_user,
            "POSTGRES_PASSWORD": self.postgres_password,
            "POSTGRES_DB": self.postgres_db,
            "POSTGRES_SSLMODE": self.postgres_sslmode,
            "REDIS_URL": self.redis,
            "FEAST_REDIS": ",".join(redis),
            "MLFLOW_TRACKING_URI": self.mlflow_tracking_uri,
        }


def read_env_file(path: Path) -> dict[str, str]:
    """Read ``NAME=value`` lines; an absent file is empty.

    Raises:
        ConfigError: a line has another form.
    """
    if not path.exists():
        return {}
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ConfigError(f"{path}:{number}: expected NAME=value; remove the file, `make up` writes it anew")
            values[name.strip()] = value.strip()
    return values
