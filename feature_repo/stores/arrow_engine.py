"""A compute engine that materializes plain feature views as Arrow, without a proto for each value."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from feast.feature_view import FeatureView
from feast.infra.common.materialization_job import MaterializationJob, MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry

from feature_repo.stores.redis_online import ArrowRedisOnlineStore
from feature_repo.stores.retrieval import CopyRetrievalJob

LEEWAY: Final = timedelta(minutes=1)
"""How far another machine's clock may run ahead."""


class ArrowComputeEngineConfig(LocalComputeEngineConfig):
    """The local engine's settings under this engine's type."""

    type: Literal["feature_repo.stores.arrow_engine.ArrowComputeEngine"] = (
        "feature_repo.stores.arrow_engine.ArrowComputeEngine"
    )


class ArrowComputeEngine(LocalComputeEngine):
    """Feast's local engine with a short way for views that are one table, stored online as they are."""

    def _materialize_one(self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any) -> MaterializationJob:
        _refuse_future(task)
        view, store = task.feature_view, self.online_store
        if not (isinstance(store, ArrowRedisOnlineStore) and self._is_plain(view)):
            return super()._materialize_one(registry, task, **kwargs)
        source = view.batch_source
        job = self.offline_store.pull_latest_from_table_or_query(
            self.repo_config,
            source,
            list(view.join_keys),
            [field.name for field in view.features],
            source.timestamp_field,
            source.created_timestamp_column,
            task.start_time,
            task.end_time,
        )
        rows = job.to_batches() if isinstance(job, CopyRetrievalJob) else job.to_arrow().to_batches()
        store.write_batches(self.repo_config, view, rows)
        return LocalMaterializationJob(
            job_id=f"{view.name}-{task.start_time}-{task.end_time}", status=MaterializationJobStatus.SUCCEEDED
        )

    def _is_plain(self, view: Any) -> bool:
        """Whether the view is what its table's newest rows say: nothing mapped, computed, expired or written back."""
        return (
            type(view) is FeatureView
            and view.online
            and not (view.offline or view.ttl or view.source_views or view.batch_source.field_mapping)
            and self.repo_config.materialization_config.pull_latest_features
        )


def _refuse_future(task: MaterializationTask) -> None:
    """Refuse a time that isn't yet: it becomes the watermark, and rows that arrive before it are skipped later.

    Raises:
        ValueError: the task ends more than a minute from now.
    """
    end = task.end_time if task.end_time.tzinfo else task.end_time.replace(tzinfo=UTC)
    if end > datetime.now(UTC) + LEEWAY:
        raise ValueError(
            f"{task.feature_view.name}: can't materialize up to {end:%Y-%m-%d %H:%M:%S} UTC, which is in the future: "
            "the next incremental run would begin there and skip what arrives before; take an end that has passed"
        )
