"""The declared views against the tables that the pipeline writes, and Feast's own command line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from feast import FeatureService, FeatureView
from feast.types import Array, Bool, Float64, Int32, Int64, String

from feature_repo import definitions
from pipelines.core.features.feature_views import VIEWS
from pipelines.settings import Settings
from tests.feature_data import CHECKOUT, day, product, published, random_events

ARROW = {
    String: pa.string(),
    Int32: pa.int32(),
    Int64: pa.int64(),
    Float64: pa.float64(),
    Bool: pa.bool_(),
    Array(String): pa.list_(pa.string()),
}
DECLARED = [o for o in vars(definitions).values() if isinstance(o, FeatureView)]
SERVICES = [o for o in vars(definitions).values() if isinstance(o, FeatureService)]


@pytest.mark.parametrize("view", DECLARED, ids=lambda v: v.name)
def test_view_declares_exactly_the_columns_that_are_written(view: FeatureView) -> None:
    declared = {field.name: ARROW[field.dtype] for field in view.features}
    assert list(declared.items()) == list(VIEWS[view.name].features.items())
    assert sorted(view.join_keys) == sorted(VIEWS[view.name].keys)


def test_every_written_view_is_declared() -> None:
    assert {view.name for view in DECLARED} == set(VIEWS)


@pytest.mark.parametrize("view", DECLARED, ids=lambda v: v.name)
def test_view_reads_the_table_of_its_own_version_and_explains_each_feature(view: FeatureView) -> None:
    assert view.batch_source.get_table_query_string() == f"features.{view.name}"
    assert view.batch_source.name == f"{view.name}_source"
    assert view.stream_source is None or view.stream_source.name == f"{view.name}_push"
    assert all(field.description for field in view.features)
    assert {"owner", "max_age"} <= view.tags.keys()


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
def test_service_pins_versions(service: FeatureService) -> None:
    assert re.fullmatch(r".*_v\d+", service.name)
    assert all(re.fullmatch(r".*_v\d+", projection.name) for projection in service.feature_view_projections)
    assert "owner" in service.tags


def test_configuration_takes_everything_secret_from_the_environment() -> None:
    text = (CHECKOUT / "feature_repo/feature_store.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(os.path.expandvars(text))
    named = Settings(root=Path(), postgres_host="h", redis_url="redis://h", mlflow_tracking_uri="").exported()
    used = {word.strip("${}'") for word in text.split() if word.startswith("'${")}
    assert used <= named.keys()
    assert config["entity_key_serialization_version"] == 3


@pytest.mark.slow
@pytest.mark.services
def test_feast_commands_work_by_hand(settings: Settings) -> None:
    published(settings, random_events(seed=8, n=60), [product(f"i{n}", 0) for n in range(4)])

    def feast(*arguments: str) -> str:
        environ = os.environ | settings.exported() | {"PYTHONPATH": str(CHECKOUT)}
        feast_program = Path(sys.executable).with_name("feast")
        done = subprocess.run(
            [feast_program, *arguments], cwd=CHECKOUT / "feature_repo", env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "Updated" not in feast("apply")  # what publish applied is what the command line applies
    assert all(view.name in feast("feature-views", "list") for view in DECLARED[:1])
    feast("materialize", "2024-01-01T00:00:00", day(20).strftime("%Y-%m-%dT%H:%M:%S"))
    assert "Materializing" in feast("materialize-incremental", day(50).strftime("%Y-%m-%dT%H:%M:%S"))
