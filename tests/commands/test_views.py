"""The command that shows feature views, holds them to their records, publishes and retires."""

import shutil
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.core.errors import InputError
from pipelines.io.features import feast_store, published_views
from pipelines.io.models import bundles, registry
from pipelines.settings import Settings
from tests.core.board import bundle
from tests.feature_data import CHECKOUT

NEW_SERVICE = """
ranker_v3 = FeatureService(name="ranker_v3", features=[user_activity_v2[["views_7d"]]], tags={"owner": "x"})
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the feature repository, in a folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    shutil.copytree(CHECKOUT / "feature_repo", tmp_path / "feature_repo")
    return tmp_path / "feature_repo"


def edit(repo: Path, old: str, new: str) -> None:
    """Change ``definitions.py``."""
    path = repo / "definitions.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def without_ranker_v1(repo: Path) -> None:
    """Take the declaration of the service ``ranker_v1`` out."""
    text = (repo / "definitions.py").read_text(encoding="utf-8")
    start = text.index("ranker_v1 = FeatureService(")
    edit(repo, text[start : text.index("ranker_v2 = FeatureService(")], "")


def test_views_lists_keys_services_and_states(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "definitions.py").open("a", encoding="utf-8").write(NEW_SERVICE)
    assert main(["views"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["user_item_activity_v1"].split()[1:4] == ["user_id,", "item_id", "13"]
    assert "36h" in lines["user_activity_v2"]
    assert "ranker_v2, ranker_v3" in lines["user_activity_v2"]
    assert lines["user_activity_v2"].endswith("published")
    assert lines["ranker_v3"].endswith("new, not recorded")


@pytest.mark.slow
def test_check_of_a_changed_view_fails_and_says_what_to_do(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "--check"]) == 0
    edit(repo, 'gross("7d", "30d", "all")', 'gross("7d", "30d")')
    assert main(["views", "--check"]) == 1
    told = capsys.readouterr().err
    assert "user_item_activity_v1 is published and never changes, but views_all, clicks_all" in told
    assert "declare user_item_activity_v3 instead" in told


@pytest.mark.slow
def test_publish_records_what_is_new_and_nothing_else(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = published_views.read(repo)
    (repo / "definitions.py").open("a", encoding="utf-8").write(NEW_SERVICE)
    assert main(["views", "--check"]) == 1
    assert "ranker_v3 isn't recorded yet" in capsys.readouterr().err
    assert main(["views", "--publish"]) == 0
    now = published_views.read(repo)
    assert now.services.pop("ranker_v3").features == ("user_activity_v2__views_7d",)
    assert now == before


@pytest.mark.slow
def test_publish_never_overwrites(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (repo / published_views.RECORDS).read_bytes()
    edit(repo, "FOREVER = timedelta(0)", "FOREVER = timedelta(days=1)")
    assert main(["views", "--publish"]) == 1
    assert "time to live was 0 s and is 86400 s" in capsys.readouterr().err
    assert (repo / published_views.RECORDS).read_bytes() == before


@pytest.mark.slow
def test_retire_is_stopped_by_a_champion_that_reads_it(
    repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles.save(bundle(), tmp_path / "bundle")
    uri, tags = f"sqlite:///{tmp_path}/mlflow/mlflow.db", {registry.SERVICE: "ranker_v1"}
    version = registry.register(uri, tmp_path / "bundle", description="", metrics={}, params={}, tags=tags)
    registry.name_alias(uri, version.number, registry.CHAMPION)
    assert registry.known(uri)[0].feature_service == "ranker_v1"

    assert main(["views", "--retire", "ranker_v1"]) == 1
    assert "still in feature_repo/definitions.py" in capsys.readouterr().err
    without_ranker_v1(repo)
    assert main(["views", "--retire", "ranker_v1"]) == 1
    assert "model version 1 (champion) reads ranker_v1" in capsys.readouterr().err
    assert published_views.read(repo).services["ranker_v1"].retired is None
    assert main(["views", "--retire", "ranker_v1", "--force"]) == 0
    assert published_views.read(repo).services["ranker_v1"].retired
    assert main(["views"]) == 0
    assert "retired 20" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.services
def test_history_shows_what_the_registry_remembers(
    settings: Settings, repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings.exported().items():
        monkeypatch.setenv(name, value)
    store = feast_store.open_store(settings)
    feast_store.apply(store)
    view = store.get_feature_view("user_recent_items_v1")
    view.features[0].name = "items"
    store.registry.apply_feature_view(view, store.project)
    assert main(["views", "--history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("user_recent_items_v1")
    assert lines[at + 1].endswith("first applied, 1 features")
    assert lines[at + 2].startswith("  v1  20")
    assert lines[at + 2].endswith("recent_items is gone; items is new")
    assert "ranker_v1: read by no model" in lines


@pytest.mark.services
def test_apply_refuses_what_contradicts_the_records(settings: Settings, repo: Path) -> None:
    edit(repo, "FOREVER = timedelta(0)", "FOREVER = timedelta(days=1)")
    store = feast_store.open_store(settings)
    with pytest.raises(InputError, match="user_activity_v1 is published and never changes"):
        feast_store.apply(store)
    assert store.list_feature_views() == []
