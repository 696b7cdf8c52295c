import json
import re
import subprocess
import sys
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

CHECK = """
import json, os, sys, threading
before = dict(os.environ)
import serving.app
print(json.dumps({
    "clients": sorted({"feast", "mlflow", "redis", "psycopg", "sqlalchemy"} & set(sys.modules)),
    "threads": threading.active_count(),
    "environment": before == dict(os.environ),
}))
"""


def test_importing_the_app_does_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"clients": [], "threads": 1, "environment": True}
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


UNCHECKED = """
import typeguard
from serving import late
checked = typeguard.typechecked
with late.feast():
    from feast import Entity
assert typeguard.typechecked is checked
print(Entity(name="a", description=3).description)
"""


def test_feast_is_imported_without_the_checks_of_its_declarations() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", UNCHECKED], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"  # as it came: typeguard would have refused a number


def test_home_leads_to_the_docs(client: TestClient) -> None:
    response = client.get("/")
    assert response.url.path == "/docs"
    assert response.status_code == 200


def test_docs_need_nothing_from_the_internet(client: TestClient) -> None:
    page = client.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/"), asset
        assert client.get(asset).status_code == 200
    assert "http://" not in page and "https://" not in page


def test_openapi_names_the_service(app: FastAPI) -> None:
    assert app.openapi()["info"]["title"] == "RecoMart"
