"""The programs that commands leave running: the HTTP service, the demo shop's catalogue, web pages, the scheduler."""

import json
import logging
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pipelines.core.errors import ServiceError
from pipelines.io import services
from pipelines.io.services.program import is_free
from pipelines.settings import VARIABLES, Settings

log = logging.getLogger(__name__)

NEXT_PORTS: Final = 20
FLOW: Final = "recomart/pipeline"
"""Flow and deployment, as pipelines/prefect_flow.py names them."""
GUARDING: Final = (
    "api_host",
    "workers",
    "auth",
    "rate_limit",
    "max_body_bytes",
    "request_timeout_s",
    "cors_origins",
    "metrics_open",
    "log_secret",
)


def serve(settings: Settings, port_is_asked_for: bool) -> str:
    """Have the HTTP service run and be ready, and beside it what brings events online; returns its address.

    Where the port isn't asked for and another program has it, the next free one is taken.

    Raises:
        ServiceError: it isn't ready in time, or no port is free.
    """
    host, port = settings.api_host, settings.api_port
    if not port_is_asked_for:
        port = _own_or_free(settings.root, "api", port)
    local = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    address = f"http://{local}:{port}"
    quiet = ("--no-access-log", "--no-server-header", "--log-level", "warning")
    options = ("--host", host, "--port", str(port), "--workers", str(settings.workers), *quiet)
    program = services.Program(
        name="api",
        argv=(sys.executable, "-m", "uvicorn", "serving.app:create_app", "--factory", *options),
        env=settings.exported() | _guarded(settings) | _counted(settings),
        ready=f"{address}/ready",
        address=address,
    )
    services.start(settings.root, program)
    services.start(settings.root, pusher(settings))
    return address


def pusher(settings: Settings) -> services.Program:
    """What brings acknowledged events online. Nobody waits for it: events are taken and kept without it."""
    return services.Program(
        name="pusher",  # not as its command, whose log is another file
        argv=(sys.executable, "-m", "pipelines", "live"),
        env=settings.exported(),
        ready=lambda: True,
    )


def _guarded(settings: Settings) -> dict[str, str]:
    """The variables of the service's security, so that a changed one restarts it."""
    values = {variable: getattr(settings, name) for name, variable in VARIABLES.items() if name in GUARDING}
    return {variable: str(value) for variable, value in values.items() if value is not None}


def _counted(settings: Settings) -> dict[str, str]:
    """Where several workers count together; what those before them counted is gone then."""
    if settings.workers == 1:
        return {}
    folder = settings.root / "data/services/metrics"
    if "api" not in {status.name for status in services.running(settings.root)}:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(folder)}


def serve_catalogue(root: Path) -> str:
    """Have the demo shop's catalogue API run; returns the URL of its products."""
    port = _own_or_free(root, "catalogue", 8090)
    program = services.Program(
        name="catalogue",
        argv=(sys.executable, "-m", "pipelines", "catalogue", "--port", str(port)),
        ready=f"http://127.0.0.1:{port}/health",
    )
    services.start(root, program)
    return f"http://127.0.0.1:{port}/products"


def serve_pages(settings: Settings) -> dict[str, str]:
    """Have the web pages of MLflow, Feast and Prefect run; returns their addresses."""
    root, scripts = settings.root, Path(sys.executable).parent
    mlflow, feast = _own_or_free(root, "mlflow", 5000), _own_or_free(root, "feast", 8888)
    pages = {"mlflow": f"http://127.0.0.1:{mlflow}", "feast": f"http://127.0.0.1:{feast}"}
    if settings.mlflow_tracking_uri.startswith("http"):
        pages["mlflow"] = settings.mlflow_tracking_uri
    else:
        store = ("--backend-store-uri", settings.mlflow_tracking_uri, "--workers", "1")
        argv = (str(scripts / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(mlflow), *store)
        services.start(root, services.Program(name="mlflow", argv=argv, ready=f"{pages['mlflow']}/health"))
    program = services.Program(
        name="feast",
        argv=(str(scripts / "feast"), "ui", "--host", "127.0.0.1", "--port", str(feast)),
        env=settings.exported(),
        cwd=root / "feature_repo",
        ready=pages["feast"],
    )
    services.start(root, program)
    return pages | {"prefect": serve_prefect(settings)}


def serve_prefect(settings: Settings) -> str:
    """Have a Prefect server run, unless the settings name one; returns the address of its page."""
    if settings.prefect_api_url:
        return settings.prefect_api_url.removesuffix("/").removesuffix("/api")
    port = _own_or_free(settings.root, "prefect", 4200)
    address = f"http://127.0.0.1:{port}"
    program = services.Program(
        name="prefect",
        argv=(sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)),
        env=prefect_environment(settings) | {"PREFECT_API_URL": f"{address}/api"},
        ready=f"{address}/api/health",
        address=address,
        start_timeout=180,
    )
    services.start(settings.root, program)
    return address


def serve_scheduler(settings: Settings, page: str, cron: str, timezone: str) -> None:
    """Have the scheduler run the pipeline at ``cron``, on the Prefect server whose page is ``page``."""
    api = f"{page}/api"
    when = ("--cron", cron, "--timezone", timezone)
    program = services.Program(
        name="scheduler",
        argv=(sys.executable, "-m", "pipelines", "schedule", "--foreground", *when),
        env=prefect_environment(settings) | _told(settings) | {"PREFECT_API_URL": api},
        ready=lambda: _is_scheduled(api, cron, timezone),
        address=f"{cron} ({timezone})",
        start_timeout=180,
    )
    services.start(settings.root, program)


def prefect_environment(settings: Settings) -> dict[str, str]:
    """Keep all of Prefect's state in ``data/services/prefect``, and let it call nobody outside."""
    home = settings.root / "data/services/prefect"
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "pipelines",
        "DO_NOT_TRACK": "1",
    }


def _told(settings: Settings) -> dict[str, str]:
    """The webhook's variables, so that a changed one restarts the scheduler."""
    url = settings.webhook_url
    return {"RECOMART_WEBHOOK_URL": url, "RECOMART_WEBHOOK_ON": settings.webhook_on} if url else {}


def _is_scheduled(api: str, cron: str, timezone: str) -> bool:
    """Whether the Prefect server knows this very schedule."""
    try:
        with urllib.request.urlopen(f"{api}/deployments/name/{FLOW}", timeout=2) as response:
            schedules = [one["schedule"] for one in json.load(response)["schedules"]]
    except OSError:
        return False
    return any((one.get("cron"), one.get("timezone")) == (cron, timezone) for one in schedules)


def _own_or_free(root: Path, name: str, wanted: int) -> int:
    """The port that the program has already, else ``wanted``, else the next free one."""
    for status in services.running(root):
        if status.name == name and (own := urlsplit(status.address).port):
            return own
    port = next((p for p in range(wanted, wanted + NEXT_PORTS) if is_free(p)), None)
    if port is None:
        raise ServiceError(f"{name}: no port from {wanted} to {wanted + NEXT_PORTS - 1} is free")
    if port != wanted:
        log.info("%s: port %d is taken by another program, so it uses %d", name, wanted, port)
    return port
