"""``benchmark`` on small logs: what it prints and writes, what it takes, and what it says of what it can't take."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.__main__ import main
from pipelines.commands import benchmark
from pipelines.core.models.interactions import Interactions
from pipelines.core.models.past import Catalogue
from pipelines.core.models.peers import PEERS, choosing
from tests.core.models.peers.test_peers import without_openmp

CHECKOUT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)
CUT = START + timedelta(days=60)
USERS, ITEMS = 80, 30
Rows = list[tuple[Any, Any, datetime]]
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """In place of the training, which has tests of its own: recommends unseen items by their position; what it got."""
    calls: list[SimpleNamespace] = []

    def fit(
        log: Interactions,
        cutoff: float,
        window_days: float,
        catalogue: Catalogue,
        seed: int,
        report: Callable[[str], None],
    ) -> Interactions:
        report("counting")
        calls.append(SimpleNamespace(log=log, cutoff=cutoff, days=window_days, catalogue=catalogue, seed=seed))
        return log

    def recommend(log: Interactions, user_idx: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        unseen = log.user_items(np.ones(len(log.user_idx)))[user_idx].toarray() == 0
        items = np.full((len(user_idx), k), -1, np.int32)
        for row, free in enumerate(unseen):
            found = np.flatnonzero(free)[:k]
            items[row, : len(found)] = found
        return items, np.where(items >= 0, 1 / (1 + np.maximum(items, 0)), np.nan).astype(np.float32)

    monkeypatch.setattr(benchmark, "learning", SimpleNamespace(fit=fit, recommend=recommend))
    return calls


def _shop() -> Rows:
    """80 users on 30 items, on days 0 to 89: users and items of a colour like each other."""
    rng = np.random.default_rng(7)
    day = np.sort(rng.uniform(0, 90, 1600))
    user = rng.integers(0, USERS, 1600)
    item = np.where(
        rng.random(1600) < 0.8, 3 * rng.integers(0, ITEMS // 3, 1600) + user % 3, rng.integers(0, ITEMS, 1600)
    )
    return [(int(u), int(i), START + timedelta(days=d)) for u, i, d in zip(user, item, day, strict=True)]


def _write(rows: Rows, kind: type = int, **more: Sequence[Any]) -> Path:
    users, items, times = ([row[n] for row in rows] for n in range(3))
    columns = {"user_id": list(map(kind, users)), "item_id": list(map(kind, items)), "timestamp": times, **more}
    pq.write_table(pa.table(columns), "log.parquet")
    return Path("log.parquet")


def _run(path: Path, *more: str, cut: datetime = CUT) -> int:
    return main(["benchmark", "--interactions", str(path), "--cutoff", cut.isoformat(), *more])


def _lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_benchmark_prints_one_line_a_model(capsys: pytest.CaptureFixture[str], trained: list[SimpleNamespace]) -> None:
    assert _run(_write(_shop())) == 0
    printed = capsys.readouterr()
    lines = _lines(printed.out)
    assert [line["model"] for line in lines] == ["recomart", *PEERS]
    measured = ["ndcg@10", "recall@10", "ndcg@20", "recall@20"]
    assert list(lines[0]) == ["model", *measured, "fit_s", "rec_s"]
    assert all(list(line) == [*lines[0], "params"] for line in lines[1:])
    assert all(0 <= line[name] <= 1 for line in lines for name in measured)
    assert "recomart ÷ best peer" in printed.err.splitlines()[-1]


def test_benchmark_gives_the_training_what_is_before_the_cut(trained: list[SimpleNamespace]) -> None:
    rows = _shop()
    assert _run(_write(rows), "--no-peers", "--window-days", "7", "--seed", "3") == 0
    (given,) = trained
    assert (given.cutoff, given.days, given.seed) == (CUT.timestamp(), 7.0, 3)
    assert len(given.log.epoch_s) == sum(when < CUT for _, _, when in rows)
    assert given.log.user_ids.tolist() == sorted({str(user) for user, _, when in rows if when < CUT})


@pytest.mark.parametrize("kind", [int, str])
def test_benchmark_writes_recommendations_with_ids_as_they_came(kind: type, trained: list[SimpleNamespace]) -> None:
    rows = _shop()
    assert _run(_write(rows, kind), "--no-peers", "--k", "5", "--out", "new/recs.parquet") == 0
    written = pq.read_table("new/recs.parquet")
    assert written.schema.names == ["user_id", "item_id", "rank", "score"]
    assert {type(value) for name in ("user_id", "item_id") for value in written[name].to_pylist()} == {kind}
    seen = {(kind(user), kind(item)) for user, item, when in rows if when < CUT}
    pairs = list(zip(written["user_id"].to_pylist(), written["item_id"].to_pylist(), strict=True))
    assert not seen.intersection(pairs)
    measured = {
        kind(u) for u, i, when in rows if CUT <= when < CUT + timedelta(days=30) and (kind(u), kind(i)) not in seen
    }
    assert {user for user, _ in pairs} == measured
    assert written["rank"].to_pylist() == [1, 2, 3, 4, 5] * len(measured)


def test_benchmark_measures_by_hand(trained: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]) -> None:
    before, after = CUT - timedelta(days=1), CUT + timedelta(days=1)
    rows = [("a", "p", before), ("b", "q", before), ("c", "r", before), ("d", "p", before),
            ("a", "q", after), ("b", "r", after), ("b", "new", after), ("c", "r", after),
            ("e", "p", after)]  # fmt: skip
    assert _run(_write(rows, str), "--no-peers", "--k", "1", "2") == 0
    # a: q, r for q; b: p, r for r and an item that nobody knew; c and d have nothing new, e no history
    ideal = 1 + np.log2(3) ** -1
    (line,) = _lines(capsys.readouterr().out)
    assert line["ndcg@1"] == pytest.approx((1 + 0) / 2)
    assert line["recall@1"] == pytest.approx((1 + 0) / 2)
    assert line["ndcg@2"] == pytest.approx((1 + np.log2(3) ** -1 / ideal) / 2, abs=1e-6)
    assert line["recall@2"] == pytest.approx((1 + 1 / 2) / 2)


def test_benchmark_popularity_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = CUT - timedelta(days=1), CUT + timedelta(days=1)
    rows = [("a", "r", before), ("b", "r", before), ("c", "p", before), ("a", "p", before), ("d", "q", before),
            ("d", "q", before), ("d", "q", before), ("c", "r", after), ("d", "p", after)]  # fmt: skip
    assert _run(_write(rows, str), "--models", "popularity", "--k", "1") == 0
    # two users each have r and p, one q: c misses r; d misses p and r, and p comes first of equals
    (line,) = _lines(capsys.readouterr().out)
    assert line["ndcg@1"] == 1.0


def test_benchmark_ignores_what_comes_after_the_cut(capsys: pytest.CaptureFixture[str]) -> None:
    rows = _shop()
    later = [(user, item, when + timedelta(days=29)) for user, item, when in rows if when >= CUT]
    strangers = [(f"{USERS + n}", f"{ITEMS + n % 5}", CUT + timedelta(hours=n)) for n in range(200)]
    command = ["--models", "recomart", "als", "--out", "recs.parquet"]
    assert _run(_write(rows, str), *command) == 0
    first, printed = pq.read_table("recs.parquet"), _lines(capsys.readouterr().out)
    assert _run(_write([*strangers, *rows, *later], str), *command) == 0
    assert pq.read_table("recs.parquet").equals(first)
    for one, other in zip(_lines(capsys.readouterr().out), printed, strict=True):
        assert {n: v for n, v in one.items() if "_s" not in n} == {n: v for n, v in other.items() if "_s" not in n}


def test_benchmark_trains_and_recommends(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_write(_shop()), "--models", "recomart", "popularity") == 0
    ours, popularity = _lines(capsys.readouterr().out)
    assert ours["ndcg@10"] > 1.3 * popularity["ndcg@10"]


def test_benchmark_takes_known_events_by_weight_and_leaves_out_the_others(trained: list[SimpleNamespace]) -> None:
    rows = _shop()
    types = [("view", "purchase", "remove_from_cart", "liked")[n % 4] for n in range(len(rows))]
    assert _run(_write(rows, event_type=types), "--no-peers") == 0
    counts = dict(zip(*np.unique(trained[0].log.weight, return_counts=True), strict=True))
    before = [kind for kind, (_, _, when) in zip(types, rows, strict=True) if when < CUT]
    assert counts == {1.0: before.count("view") + before.count("liked"), 8.0: before.count("purchase")}


def test_benchmark_tells_the_training_what_it_knows_of_items(trained: list[SimpleNamespace]) -> None:
    before, after = CUT - timedelta(days=2), CUT + timedelta(days=1)
    rows = [(1, 10, before), (1, 11, before), (2, 10, before + timedelta(hours=1)), (2, 11, after), (2, 12, before)]
    log = _write(rows, price=[5.0, 7.0, 6.0, 99.0, 0.0])
    pq.write_table(pa.table({"item_id": ["11", "10"], "title": ["Lamp", None], "price": [3.5, None]}), "items.parquet")
    assert _run(log, "--no-peers", "--items", "items.parquet") == 0
    catalogue = trained[0].catalogue
    assert catalogue.text.tolist() == [None, "Lamp", None]
    np.testing.assert_array_equal(catalogue.price, [6.0, 3.5, np.nan])  # else what was last paid before the cut


def test_benchmark_chooses_settings_only_with_enough_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(choosing, "LEAST_USERS", 1000)
    assert _run(_write(_shop()), "--models", "pure_svd") == 0
    printed = capsys.readouterr()
    assert _lines(printed.out)[0]["params"] == {"factors": 64}
    assert "keep their defaults" in printed.err


def test_benchmark_without_openmp_leaves_out_what_needs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_openmp(monkeypatch)
    assert _run(_write(_shop()), "--models", *PEERS) == 0
    printed = capsys.readouterr()
    assert [line["model"] for line in _lines(printed.out)] == ["popularity", "pure_svd", "ease"]
    (told,) = [line for line in printed.err.splitlines() if "libgomp" in line]
    assert "apt install libgomp1" in told


def test_benchmark_prints_nothing_but_lines_to_stdout() -> None:
    path = _write(_shop())
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "benchmark", "--interactions", path, "--cutoff", "2026-03-02",
         "--models", "popularity", "item_knn_bm25", "als"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [line["model"] for line in _lines(done.stdout)] == ["popularity", "item_knn_bm25", "als"]
    assert "Warning" not in done.stderr


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--interactions", "nowhere.parquet"], "nowhere.parquet is missing"),
        (["--cutoff", "2020-01-01"], "nothing happened before 2020-01-01"),
        (["--cutoff", "2030-01-01"], "nobody with a history has a new item"),
        (["--items", "nowhere.parquet"], "nowhere.parquet is missing"),
        (["--models", "popularity", "--out", "recs.parquet"], "--out is for the recommendations of recomart"),
    ],
)
def test_benchmark_says_what_it_can_not_do(more: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_write(_shop()), *more) == 1
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_benchmark_of_events_without_weight_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = _shop()
    assert _run(_write(rows, event_type=["remove_from_cart"] * len(rows))) == 1
    assert "no event has a weight above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [["--cutoff", "soon"], ["--window-days", "0"], ["--k", "0"], ["--k", "ten"], ["--models", "oracle"]]
)
def test_benchmark_refuses_wrong_arguments(more: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _run(_write(_shop()), *more)
