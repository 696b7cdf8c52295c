"""Propose candidates at past cuts and join their point-in-time features and labels."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core.columns import Col
from pipelines.core.models import labels, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from pipelines.core.models.fitting import propose_only
from pipelines.core.models.interactions import encode, lasting, positions
from pipelines.core.models.past import Catalogue
from pipelines.core.models.ranker_inputs import NO_CATEGORY, reads
from pipelines.core.models.split import Gains, cuts, gains
from pipelines.io.features import feast_store
from pipelines.io.files import replacing, sha256, write_json
from pipelines.io.models import bundles, known_items, training_data
from pipelines.io.preparation import events
from pipelines.io.progress import progress
from pipelines.params import Params

log = logging.getLogger(__name__)

ROWS_A_READ: Final = 60_000
"""Candidates in one point-in-time join and in one row group, about."""

Read = Callable[[pa.Table], pa.Table]
"""Keys -> their point-in-time features."""


@dataclass(frozen=True)
class Window:
    """A cut: the sources fitted before it, and the users who gained something new after it."""

    cut: datetime
    bundle: Bundle
    user_ids: np.ndarray
    gains: Gains
    active: int
    """Users with an interaction in the window, known before it or not."""
    categories: np.ndarray
    """object [items of the bundle]: the category of each at the cut."""


def run(context: Context) -> None:
    """Write ``data/training``: training.parquet, evaluation.parquet, truth.parquet, split.json, sources/.

    Raises:
        InputError: features aren't published or don't belong to the log, or the log is too short.
    """
    started = time.monotonic()
    root, params = context.root, context.params
    service = params.ranker.feature_service
    as_of, log_ = events.published(root, service)
    split = cuts(log_[Col.TIMESTAMP][0].as_py(), as_of, params.split.window_days, params.split.training_cuts)
    data_sha256 = sha256(root / events.INTERACTIONS)
    store = feast_store.open_store(context.settings)

    def read(keys: pa.Table) -> pa.Table:
        asked = keys.select([*reads(service).keys, Col.EVENT_TIMESTAMP])
        return feast_store.historical(store, service, asked).select(reads(service).required)

    def window(cut: datetime, max_users: int) -> Window:
        return _window(root, log_, cut, split.window, max_users, params, data_sha256)

    with replacing(root / training_data.FOLDER) as folder:
        folder.mkdir()
        training = (window(cut, params.split.max_users) for cut in split.training)
        summary: dict[str, Any] = {
            "as_of": as_of.isoformat(),
            "training": _write_training(folder, training, params, read),
        }
        newest = window(split.evaluation, params.evaluation.max_users)
        summary["evaluation"] = _write_evaluation(folder, newest, params, read, split.window)
        write_json(folder / training_data.SPLIT.name, summary)
    rows = sum(cut["candidates"] for cut in summary["training"])
    log.info(
        "%d candidates at %d training cuts, %d at the evaluation cut %s, %.1f s",
        *(rows, len(split.training), summary["evaluation"]["candidates"], split.evaluation.date()),
        time.monotonic() - started,
    )


def _window(
    root: Path, log_: pa.Table, cut: datetime, length: timedelta, max_users: int, params: Params, data_sha256: str
) -> Window:
    listed = known_items.known_at(root, cut)
    bundle = propose_only(log_, cut, params.model_dump(mode="json"), data_sha256, listed)
    later = encode(lasting(log_, cut, cut + length), params.event_weights)
    known = later.user_ids[positions(bundle.user_ids, later.user_ids) >= 0]
    found = gains(bundle, later, known)
    gaining = np.flatnonzero(np.diff(found.matrix.indptr))
    rng = np.random.default_rng([params.seed, int(cut.timestamp())])
    chosen = np.sort(rng.permutation(gaining)[:max_users])
    return Window(
        cut,
        bundle,
        known[chosen],
        Gains(found.matrix[chosen], found.item_ids),
        active=len(later.user_ids),
        categories=np.array([name or NO_CATEGORY for name in Catalogue.of(bundle.item_ids, listed).category], object),
    )


def _write_training(folder: Path, windows: Iterator[Window], params: Params, read: Read) -> list[dict[str, Any]]:
    """Write the sampled candidates of all training windows, a group for each user and cut."""
    summaries: list[dict[str, Any]] = []
    with _Writer(folder / training_data.TRAINING.name, read) as writer:
        for window in windows:
            rng = np.random.default_rng([params.seed, int(window.cut.timestamp()), 1])

            def sample(c: Candidates, grades: np.ndarray, rng: np.random.Generator = rng) -> np.ndarray:
                return labels.sampled(c, grades, params.split.negatives, rng)

            before = writer.rows
            for table in _proposed(window, params, writer.groups, sample):
                writer.add(table)
            writer.groups += len(window.user_ids)
            summaries.append(_summary(window, writer.rows - before))
    return summaries


def _write_evaluation(folder: Path, window: Window, params: Params, read: Read, length: timedelta) -> dict[str, Any]:
    """Write all candidates of the evaluation window, what was relevant in it, and the sources."""
    with _Writer(folder / training_data.EVALUATION.name, read) as writer:
        for table in _proposed(window, params, 0, lambda c, _: np.arange(len(c.item_idx))):
            writer.add(table)
    matrix = window.gains.matrix
    truth = {
        Col.USER_ID: np.repeat(window.user_ids, np.diff(matrix.indptr)),
        Col.ITEM_ID: window.gains.item_ids[matrix.indices],
        "gain": matrix.data,
    }
    pq.write_table(pa.table(truth), folder / training_data.TRUTH.name, compression="zstd")
    bundles.save(window.bundle, folder / training_data.SOURCES.name)
    return {**_summary(window, writer.rows), "end": (window.cut + length).isoformat(), "relevant": matrix.nnz}


def _proposed(
    window: Window, params: Params, first_group: int, select: Callable[[Candidates, np.ndarray], np.ndarray]
) -> Iterator[pa.Table]:
    """The selected candidates of the window's users with their labels, a table for each batch of users."""
    bundle = window.bundle
    batches = list(scoring.batches(len(window.user_ids)))
    for users in progress(batches, f"candidates at {window.cut.date()}", len(batches)):
        user_idx = positions(bundle.user_ids, window.user_ids[users])
        candidates = scoring.candidates(bundle, bundle.histories.take(user_idx), params.candidates.per_source)
        grades = labels.graded(candidates, window.gains.matrix[users])
        kept = select(candidates, grades)
        yield labels.to_table(
            candidates.take(kept),
            grades[kept],
            sources=bundle.manifest["sources"],
            user_ids=window.user_ids[users],
            item_ids=bundle.item_ids,
            categories=window.categories,
            cut=window.cut,
            first_group=first_group + users.start,
        )


def _summary(window: Window, rows: int) -> dict[str, Any]:
    return {
        "cut": window.cut.isoformat(),
        "active_users": window.active,
        "users": len(window.user_ids),
        "items": len(window.bundle.item_ids),
        "candidates": rows,
    }


class _Writer:
    """Joins features to whole groups of about ROWS_A_READ candidates and writes them as one row group."""

    def __init__(self, path: Path, read: Read) -> None:
        self._path, self._read = path, read
        self._waiting: list[pa.Table] = []
        self._file: pq.ParquetWriter | None = None
        self.rows = 0
        self.groups = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self._flush()
        if self._file is not None:
            self._file.close()

    def add(self, table: pa.Table) -> None:
        """Take the candidates of further groups."""
        self._waiting.append(table)
        self.rows += len(table)
        if sum(map(len, self._waiting)) >= ROWS_A_READ:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting = []
        features = self._read(table.select(labels.KEYS))
        for name in features.column_names:
            table = table.append_column(name, features[name])
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._file.write_table(table, row_group_size=len(table))
