"""Compare what the champion reads online now with what it was like when it was trained; exit code 1 where it drifted.

A report a day, in data/reports/drift, and the newest one on the service's /metrics. Users who were active lately then
and now are drawn, each with the item of the last event: then from Postgres at the model's cut, now from Redis.
"""

import argparse
import logging
import sys
from datetime import UTC, datetime

from pipelines.context import Context
from pipelines.core.errors import DataQualityError, ModelError
from pipelines.core.evaluation import drift
from pipelines.io import postgres, tables
from pipelines.io.features import feast_store
from pipelines.io.features.online_features import OnlineFeatures
from pipelines.io.models import drift_report, drift_sample, promotion, registry

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the size of the samples and what is too much."""
    parser.add_argument("--users", type=int, default=1000, help="at each of the two moments; default %(default)s")
    parser.add_argument("--threshold", type=float, default=drift.MUCH, help="of the PSI; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")


def daily(context: Context) -> None:
    """``run`` with the usual arguments, as the schedule does after each pipeline."""
    parser = argparse.ArgumentParser()
    configure(parser)
    run(Context(parser.parse_args([]), context.settings))


def run(context: Context) -> None:
    """Write and print the report.

    Raises:
        DataQualityError: inputs drifted; the report is written.
        ModelError: no model is promoted yet.
        ServiceError: a server doesn't answer.
    """
    report = _report(context, datetime.now(UTC))
    path = drift_report.write(context.root, report)
    with postgres.connect(context.settings) as connection:
        drift_report.record(connection, report)
    sys.stdout.write(report.to_markdown())
    if moved := report.moved:
        raise DataQualityError(f"{', '.join(moved[:5])}: no longer what the model learned from; see {path}")


def _report(context: Context, at: datetime) -> drift_report.Report:
    args, params = context.args, context.params
    champion = promotion.holder(registry.known(context.settings.mlflow_tracking_uri), registry.CHAMPION)
    if champion is None:
        raise ModelError("no model is promoted yet: run `make pipeline`")
    service, cut = champion.feature_service, tables.utc(champion.tags["cut"])
    store = feast_store.open_store(context.settings)
    reader = OnlineFeatures(store, service)
    as_of = reader.as_of
    then, now = (
        drift_sample.drawn(context.root, moment, params.split.window_days, args.users, args.seed)
        for moment in (cut, as_of)
    )
    inputs = drift.drifts(drift_sample.offline(store, service, then), drift_sample.online(reader, service, now))
    users = (len(then), len(now))
    return drift_report.Report(at, champion.number, service, cut, as_of, users, args.threshold, inputs)
