"""What a data set as a whole must fulfil: Great Expectations on DuckDB, where the data is."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import DataQualityError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io import duck_dialect
from pipelines.io.quality import data_docs, suites
from pipelines.io.quality.judged import Judged, opened

Result = dict[str, Any]
"""suite, expectation, description (in words), severity (stop or warn), success, kwargs, result."""

SEVERITIES: Final = {suites.STOP: "stop", suites.WARN: "warn"}


def check(root: Path, summary: Mapping[str, Any], mapping: SourceMapping) -> list[Result]:
    """Run every suite on ``data/validated`` and write the Data Docs; returns a result for each expectation.

    A measure of the newest day that can't be judged passes; its ``result`` says why under ``not_judged``.

    Raises:
        DataQualityError: an expectation can't be evaluated.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # four seconds: only the stage that needs it pays
    import great_expectations.expectations as gxe

    logging.getLogger("great_expectations").setLevel(logging.ERROR)  # it knows no DuckDB, and says so for each column
    duck_dialect.register()
    with opened(root, summary) as judged:
        declared = suites.declare(gxe, judged, summary, mapping)
        answers = _validate(gx, judged, declared)
        data_docs.write(root / data_docs.FOLDER, answers, judged.arrival)
        results = [_plain(suite, result) for suite, answer in answers.items() for result in answer.results]
        details = suites.details(judged)
        for result in results:
            if found := result["suite"] == "newest day" and details.get(result["kwargs"]["column"]):
                result["result"]["details"] = found
        return results + _skipped(suites.not_judged(judged, mapping))


def _validate(gx: Any, judged: Judged, declared: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Suite → Great Expectations' answer, its results in the order of the declaration."""
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    in_memory = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults(), analytics_enabled=False)
    context = gx.get_context(mode="ephemeral", project_config=in_memory)
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("lake", connection_string=duck_dialect.URL + judged.name)
    source.create_temp_table = False
    answers = {}
    for suite, expectations in declared.items():
        asset = source.add_table_asset(suite, table_name=suites.TABLES[suite])
        batch = asset.add_batch_definition_whole_table(suite).get_batch()
        named = gx.ExpectationSuite(name=suites.TABLES[suite], expectations=expectations)
        answer = batch.validate(named, result_format="SUMMARY")
        order = [_key(expectation.configuration) for expectation in expectations]
        answer.results.sort(key=lambda result: order.index(_key(result.expectation_config)))
        answers[suite] = answer
        batch.data.execution_engine.engine.dispose()
    source.get_engine().dispose()
    return answers


def _key(configuration: Any) -> tuple[str, str]:
    """What tells an expectation of a suite from the others."""
    kwargs = {name: value for name, value in configuration.kwargs.items() if name != "batch_id"}
    return configuration.type, json.dumps(kwargs, sort_keys=True, default=str)


def _plain(suite: str, answer: Any) -> Result:
    """A result without what differs from run to run.

    Raises:
        DataQualityError: the expectation couldn't be evaluated.
    """
    result = answer.to_json_dict()
    config = result["expectation_config"]
    kwargs = {key: value for key, value in config["kwargs"].items() if key != "batch_id"}
    if message := _failure(result["exception_info"]):
        raise DataQualityError(f"{suite}: {config['type']} {kwargs}: {message}")
    return {
        "suite": suite,
        "expectation": config["type"],
        "description": config["description"],
        "severity": SEVERITIES[config["severity"]],
        "success": result["success"],
        "kwargs": kwargs,
        "result": result["result"],
    }


def _failure(exceptions: Mapping[str, Any]) -> str | None:
    """The message of the first exception, of the expectation itself or of a metric that it needs."""
    if "raised_exception" in exceptions:
        return exceptions["exception_message"] if exceptions["raised_exception"] else None
    return next((info["exception_message"] for info in exceptions.values() if info["raised_exception"]), None)


def _skipped(reasons: Mapping[str, str]) -> list[Result]:
    """A result for each measure of the newest day that isn't judged."""
    return [
        {
            "suite": "newest day",
            "expectation": "expect_column_max_to_be_between",
            "description": f"{measure}: not judged",
            "severity": "warn",
            "success": True,
            "kwargs": {"column": measure},
            "result": {"observed_value": None, "not_judged": reason},
        }
        for measure, reason in reasons.items()
    ]
