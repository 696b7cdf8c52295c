"""The pipeline as a flow of Prefect: each stage a task, tried again and ended as dvc.yaml says.

Importing Prefect takes seconds: only the scheduler and the processes that it starts import this module.
"""

import argparse
import logging
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

import prefect
from prefect import flow, get_client, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState
from prefect.client.schemas.filters import FlowRunFilterStateType as StateTypes
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from pipelines import flow as stages
from pipelines.commands.backfill import backfill
from pipelines.context import Context
from pipelines.core.errors import ConfigError, RecoMartError, ServiceError, StageError
from pipelines.io import notices, receipts
from pipelines.io.dvc_repo import Stage
from pipelines.io.models import registry
from pipelines.settings import Settings

NAME: Final = "recomart"
DEPLOYMENT: Final = "pipeline"
SERVERS: Final = stages.Policy(retries=3, retry_delay_s=10)
"""How patient to be with servers that don't answer before the first stage."""

T = TypeVar("T")


@flow(name=NAME)
def recomart(start: date | None = None, end: date | None = None) -> None:
    """Run every stage whose inputs changed. With both days, bring in the log's files of that range first."""
    logging.getLogger("pipelines").setLevel(logging.INFO)
    settings = Settings.load(Path.cwd(), os.environ)
    context = Context(argparse.Namespace(), settings)

    def execute(stage: Stage) -> bool:
        return _as_task(stage.name, stages.Policy.of(stage), lambda say: stages.attempt(settings, stage, say))

    with notices.told(settings, f"scheduled {runtime.flow_run.name}"), stages.alone(context.root):
        _as_task("servers", SERVERS, lambda _: receipts.drop_stale(settings))
        if start is None and end is None:
            stages.run(settings, execute=execute)
        elif start is None or end is None:
            raise ConfigError("a backfill needs both its first and its last day")
        else:
            backfill(context, start, end, execute)
        _as_task("drift", stages.Policy(), lambda say: _report_drift(context, say))


def _as_task(name: str, policy: stages.Policy, work: Callable[[Callable[[str], None]], T]) -> T:
    """Do ``work`` in a task of its own; it gets a function that takes lines for the task's log."""

    @task(
        name=name,
        retries=policy.retries,
        retry_delay_seconds=policy.retry_delay_s,
        retry_condition_fn=_may_pass,
        cache_policy=NO_CACHE,  # DVC knows what is up to date
    )
    def do() -> T:
        logger = get_run_logger()
        result = work(logger.info)
        if result is False:
            logger.info("%s: unchanged", name)
        return result

    return do()


def _report_drift(context: Context, say: Callable[[str], None]) -> bool:
    """Write the day's report of drift where there is a champion; what it finds is told, and stops no run."""
    if registry.champion(context.settings.mlflow_tracking_uri) is None:
        return False
    from pipelines.commands import drift  # imports Feast, which takes seconds

    try:
        drift.daily(context)
    except RecoMartError as error:
        say(f"drift: {error}")
    return True


def _may_pass(_task: Any, _run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, ServiceError) or (isinstance(error, StageError) and error.may_pass)


def serve(cron: str, timezone: str) -> None:
    """Run the flow on a schedule and whenever the UI asks for it, one run at a time, until interrupted.

    Raises:
        ConfigError: ``cron`` is no schedule.
    """
    try:
        schedule = Cron(cron, timezone=timezone)
    except ValueError as error:
        raise ConfigError(f"--cron {cron!r}: {error}") from None
    _end_lost_runs()
    deployment = recomart.to_deployment(DEPLOYMENT, schedule=schedule, entrypoint_type=EntrypointType.MODULE_PATH)
    assert isinstance(deployment, RunnerDeployment)  # it is a coroutine only within an event loop
    prefect.serve(deployment, limit=1, pause_on_shutdown=False, print_starting_message=False)


def _end_lost_runs() -> None:
    """Mark as crashed what was running when the scheduler ended: with it, its runs end, and the server can't know."""
    live = StateTypes(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[NAME])),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=live)),
        )
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="the scheduler ended while it ran"), force=True)
