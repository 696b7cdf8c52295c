"""A short search on a training folder made by hand, with real trials, a real MLflow and no servers."""

import argparse
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines.commands import search
from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.models import labels, ranking, scoring
from pipelines.core.models.fitting import propose_only
from pipelines.core.models.interactions import encode, lasting, positions
from pipelines.core.models.split import gains
from pipelines.io.files import write_json, write_text
from pipelines.io.models import bundles, training_data
from pipelines.io.preparation import events
from pipelines.params import Params
from tests.evaluated import checkout
from tests.feature_data import START, event, event_table

pytestmark = pytest.mark.slow

USERS = 40
CUTS = (START + timedelta(days=30), START + timedelta(days=20))
SMALL = {"window_days: 14": "window_days: 10", "factors: 128": "factors: 4", "trees: 150": "trees: 5"}


def training(root: Path) -> None:
    """What `assemble` leaves: two cuts of a shop whose users like items of their own parity; no features."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(USERS):
        for _ in range(30):
            item = 2 * rng.integers(0, 20) + (user % 2 if rng.random() < 0.9 else 1 - user % 2)
            rows.append(event(f"u{user:02}", f"i{item:02}", "view", float(rng.uniform(0, 50))))
    (root / "data/processed").mkdir(parents=True)
    pq.write_table(event_table(rows), root / events.INTERACTIONS)
    as_of = (START + timedelta(days=50)).isoformat()
    write_json(root / "data/published/receipt.json", {"feature_services": ["ranker_v1"], "tables": {}, "as_of": as_of})

    params = Params.load(root / "params.yaml").model_dump(mode="json")
    _, log = events.published(root, "ranker_v1")
    tables = [table(log, cut, params, USERS * n) for n, cut in enumerate(CUTS)]
    summaries = [{"cut": cut.isoformat(), "users": USERS} for cut in CUTS]
    (root / training_data.FOLDER).mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), root / training_data.TRAINING)
    write_json(root / training_data.SPLIT, {"training": summaries})
    bundles.save(propose_only(log, CUTS[0], params, ""), root / training_data.SOURCES)


def table(log: pa.Table, cut: datetime, params: dict, first_group: int) -> pa.Table:
    bundle = propose_only(log, cut, params, "")
    later = encode(lasting(log, cut, cut + timedelta(days=10)), params["event_weights"])
    gained = gains(bundle, later, later.user_ids)
    found = scoring.candidates(bundle, bundle.histories.take(positions(bundle.user_ids, later.user_ids)), 10)
    grades = labels.graded(found, gained.matrix)
    kept = labels.sampled(found, grades, 40, np.random.default_rng(7))
    made = labels.to_table(
        found.take(kept),
        grades[kept],
        sources=bundle.manifest["sources"],
        user_ids=later.user_ids,
        item_ids=bundle.item_ids,
        categories=np.full(len(bundle.item_ids), ""),
        cut=cut,
        first_group=first_group,
    )
    for name in ranking.required("ranker_v1"):
        made = made.append_column(name, pa.nulls(len(made), pa.float64()))
    return made


@pytest.fixture
def here(tmp_path: Path) -> Context:
    context = checkout(tmp_path)
    text = (tmp_path / "params.yaml").read_text()
    for large, small in SMALL.items():
        assert large in text
        text = text.replace(large, small)
    write_text(tmp_path / "params.yaml", text)
    training(tmp_path)
    return context


def searched(here: Context, *parts: str, **options: object) -> None:
    given = {"parts": list(parts), "minutes": 5.0, "trials": 4, "seed": 7, "write": False} | options
    search.run(Context(argparse.Namespace(**given), here.settings))


def runs(here: Context) -> list[Run]:
    client = MlflowClient(here.settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(search.EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id]))


def test_search_logs_each_trial_below_its_run(here: Context, capsys: pytest.CaptureFixture[str]) -> None:
    searched(here, "ranker", "svd")
    told = capsys.readouterr().out
    assert "ranker: NDCG@10 0." in told and "svd: NDCG@10 0." in told
    logged = {run.info.run_name: run for run in runs(here)}
    assert sorted(logged) == sorted(["search", *(f"{part} {n}" for part in ("ranker", "svd") for n in range(4))])
    parent = logged.pop("search")
    assert {run.data.tags["mlflow.parentRunId"] for run in logged.values()} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *logged.values()]} == {"FINISHED"}
    best = max(logged[f"svd {n}"].data.metrics["ndcg_at_10"] for n in range(4))
    assert parent.data.metrics["svd/best"] == best >= parent.data.metrics["svd/now"]
    assert logged["svd 0"].data.params["factors"] == "4"


def test_search_tries_the_same_with_the_same_seed(here: Context) -> None:
    for seed in (1, 1, 2):
        searched(here, "covisitation", seed=seed)
    found = runs(here)
    tried: dict[str, list[dict[str, str]]] = {}
    for run in sorted(found, key=lambda run: run.info.run_name):
        if parent := run.data.tags.get("mlflow.parentRunId"):
            tried.setdefault(parent, []).append(run.data.params)
    seeds = {run.info.run_id: run.data.params["seed"] for run in found if run.info.run_id in tried}
    one, again, other = (tried[run_id] for run_id in sorted(tried, key=lambda run_id: seeds[run_id]))
    assert one == again
    assert one[0] == other[0]  # what is there comes first
    assert one[1:] != other[1:]


def test_search_writes_what_is_better_and_nothing_else(here: Context) -> None:
    before = (here.root / "params.yaml").read_text()
    searched(here, "svd", trials=12)
    assert (here.root / "params.yaml").read_text() == before
    searched(here, "svd", trials=12, write=True)
    after = (here.root / "params.yaml").read_text()
    changed = [new for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]
    assert [line.split(":")[0].strip() for line in changed] == ["svd"]
    assert Params.load(here.root / "params.yaml").ranker.trees == 5


def test_search_ends_with_its_time_after_one_trial_of_each_part(
    here: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    searched(here, minutes=0.0, trials=None)
    told = capsys.readouterr().out
    *parts, last = told.splitlines()
    sources = bundles.load(here.root / training_data.SOURCES).manifest["sources"]
    assert [line.split(":")[0] for line in parts] == ["ranker", *sources]
    assert all(line.endswith("as it is (1 trials)") for line in parts)
    assert last == "params.yaml has the best that was tried"


def test_search_interrupted_tells_what_it_has(
    here: Context, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged, before = search._log, signal.getsignal(signal.SIGINT)

    def interrupt(*values: object) -> None:
        logged(*values)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(search, "_log", interrupt)
    searched(here, "popularity", "svd", trials=50)
    assert capsys.readouterr().out.startswith("svd: NDCG@10 0.")
    assert signal.getsignal(signal.SIGINT) is before


def test_search_of_an_unknown_part_names_those_there_are(here: Context) -> None:
    with pytest.raises(InputError, match="nobody: neither ranker nor one of the sources svd, "):
        searched(here, "nobody")


def test_search_without_training_data_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="python -m pipelines assemble"):
        searched(checkout(tmp_path), "svd")
