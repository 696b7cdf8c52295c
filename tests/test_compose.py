"""docker-compose.yml and the Dockerfile, checked as data: no engine runs here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.__main__ import COMMANDS
from pipelines.commands import programs
from pipelines.settings import VARIABLES, Settings

CHECKOUT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (CHECKOUT / "serving/Dockerfile").read_text(encoding="utf-8")


def test_compose_has_the_services() -> None:
    assert {"postgres", "redis", "mlflow", "api", "pipeline"} <= set(SERVICES)


@pytest.mark.parametrize("name", [n for n in SERVICES if n != "pipeline"])
def test_compose_service_is_checked_and_restarts(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_compose_volumes_are_named_and_declared() -> None:
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if not v.startswith((".", "/"))}
    assert used == set(COMPOSE["volumes"]) == {"postgres", "redis", "mlflow", "prefect", "prometheus"}


def test_compose_secrets_have_no_default() -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    for name, modifier in re.findall(r"\$\{(\w*PASSWORD\w*)([^}]*)\}", text):
        assert modifier.startswith(":?"), f"{name} must be required, not {modifier!r}"
    assert not re.search(r"(?i)password:\s*[a-z0-9]", text), "a literal password"


def test_compose_publishes_on_loopback_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", ["api", "live", "pipeline", "scheduler"])
def test_compose_sets_only_variables_that_settings_read(name: str) -> None:
    environment = set(SERVICES[name]["environment"]) - {"HOME"}
    assert {"POSTGRES_HOST", "REDIS_URL", "MLFLOW_TRACKING_URI"} <= environment <= set(VARIABLES.values())


@pytest.mark.parametrize("name", ["pipeline", "scheduler"])
@pytest.mark.parametrize("variable", ["RECOMART_CATALOGUE_TOKEN", "RECOMART_WEBHOOK_URL", "RECOMART_WEBHOOK_ON"])
def test_compose_passes_tokens_and_webhook_on(name: str, variable: str) -> None:
    assert SERVICES[name]["environment"][variable] == f"${{{variable}:-}}"


def test_compose_scheduler_is_the_schedule_command_beside_its_server() -> None:
    scheduler = SERVICES["scheduler"]
    assert scheduler["command"] == ["schedule", "--foreground"]
    assert "schedule" in COMMANDS
    assert scheduler["environment"]["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert scheduler["depends_on"]["prefect"] == {"condition": "service_healthy"}
    assert programs.FLOW in scheduler["healthcheck"]["test"][-1]
    calls_nobody = programs.prefect_environment(Settings.load(CHECKOUT, {}))
    for variable in ("PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK"):
        assert SERVICES["prefect"]["environment"][variable] == calls_nobody[variable]


def test_compose_live_is_the_command_beside_the_api() -> None:
    live = SERVICES["live"]
    assert live["command"] == ["live"]
    assert live["healthcheck"]["test"][1:] == ["python", "-m", "pipelines", "live", "--check"]
    assert "live" in COMMANDS
    assert "profiles" not in live


@pytest.mark.parametrize("name", ["mlflow", "api", "live", "pipeline", "prefect", "scheduler"])
def test_compose_build_targets_exist(name: str) -> None:
    build = SERVICES[name]["build"]
    assert build["dockerfile"] == "serving/Dockerfile"
    assert re.search(rf"^FROM \w+ AS {build['target']}$", DOCKERFILE, re.MULTILINE)


def test_dockerfile_copies_what_exists_and_drops_root() -> None:
    for line in re.findall(r"^COPY (?:--chown=\S+ )?(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (CHECKOUT / source).exists(), f"COPY {source}: no such path"
    for stage in DOCKERFILE.split("\nFROM ")[2:]:
        assert "\nUSER recomart" in stage


def test_compose_observability_is_a_profile_on_files_that_exist() -> None:
    for name in ("prometheus", "grafana"):
        service = SERVICES[name]
        assert service["profiles"] == ["observability"]
        mounted = [volume.split(":") for volume in service["volumes"] if volume.startswith("./")]
        assert mounted and all((CHECKOUT / source).exists() and mode == "ro" for source, _, mode in mounted)
        assert ":" in service["image"]


def test_compose_api_is_told_all_that_guards_it() -> None:
    environment = SERVICES["api"]["environment"]
    told = {VARIABLES[name] for name in programs.GUARDING} - {"RECOMART_AUTH"}  # others reach it: keys, always
    assert told <= set(environment)
    assert environment["RECOMART_API_HOST"] == "0.0.0.0"


def test_image_of_the_api_starts_as_many_workers_as_are_asked_for() -> None:
    command = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert "--workers ${RECOMART_WORKERS:-1}" in command and "exec uvicorn" in command
    assert "ENV PROMETHEUS_MULTIPROC_DIR=" in DOCKERFILE
    assert SERVICES["api"]["environment"]["RECOMART_WORKERS"] == "${RECOMART_WORKERS:-1}"


def test_compose_depends_on_healthy_servers() -> None:
    for name in ("api", "pipeline"):
        assert SERVICES[name]["depends_on"] == {
            server: {"condition": "service_healthy"} for server in ("postgres", "redis", "mlflow")
        }
