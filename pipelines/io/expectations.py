"""What a data set as a whole must fulfil, as Great Expectations suites in code, run without network or files."""

import os
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from pipelines.core.columns import EVENT_SCHEMA, EVENT_TYPES, PRODUCT_SCHEMA, Col
from pipelines.core.errors import DataQualityError

Result = dict[str, Any]

GROUPS: Final = ((Col.EVENT_ID,), (Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE), (Col.TIMESTAMP, Col.QUANTITY, Col.PRICE))
"""Columns of the events that are in memory at a time."""


def check(summary: Mapping[str, Any], events: ds.Dataset, products: pa.Table, max_bad_share: float) -> list[Result]:
    """Run every suite; returns a result for each expectation, passed or not.

    The columns of the events are read a few at a time.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # four seconds: only the stage that needs it pays
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    in_memory = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults(), analytics_enabled=False)
    context = gx.get_context(mode="ephemeral", project_config=in_memory)
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("recomart")
    results: list[Result] = []

    def expect(suite: str, table: pa.Table, *expectations: Any) -> None:
        frame = table.to_pandas(types_mapper=pd.ArrowDtype)
        name = f"{suite} {len(results)}"
        asset = source.add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
        answer = batch.validate(
            gx.ExpectationSuite(name=name, expectations=list(expectations)), result_format="SUMMARY"
        )
        results.extend(_plain(suite, result.to_json_dict()) for result in answer.results)

    counts = pa.table({name: [summary[name]] for name in ("rows", "good", "quarantined", "duplicates")})
    bad_share = summary["quarantined"] / max(1, summary["rows"])
    expect(
        "data set",
        counts.append_column("bad_share", pa.array([bad_share])),
        gxe.ExpectColumnValuesToBeBetween(column="good", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="bad_share", max_value=max_bad_share),
    )
    by_column = _columns(gxe)
    ordered = gxe.ExpectTableColumnsToMatchOrderedList(column_list=EVENT_SCHEMA.names)
    expect("events", events.schema.empty_table(), ordered)
    for group in GROUPS:
        expect(
            "events", events.to_table(columns=list(group)), *(e for name in group for e in by_column["events"][name])
        )
    expect(
        "products",
        products,
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=PRODUCT_SCHEMA.names),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=[Col.ITEM_ID, "valid_from"]),
        *(e for expectations in by_column["products"].values() for e in expectations),
    )
    return results


def _columns(gxe: Any) -> dict[str, dict[str, list[Any]]]:
    """Suite -> column -> its expectations."""

    def filled(column: str) -> Any:
        return gxe.ExpectColumnValuesToNotBeNull(column=column)

    def between(column: str, low: float, high: float | None = None) -> Any:
        return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)

    known = gxe.ExpectColumnValuesToBeInSet(column=Col.EVENT_TYPE, value_set=list(EVENT_TYPES))
    return {
        "events": {
            Col.EVENT_ID: [filled(Col.EVENT_ID), gxe.ExpectColumnValuesToBeUnique(column=Col.EVENT_ID)],
            Col.USER_ID: [filled(Col.USER_ID)],
            Col.ITEM_ID: [filled(Col.ITEM_ID)],
            Col.EVENT_TYPE: [filled(Col.EVENT_TYPE), known],
            Col.TIMESTAMP: [filled(Col.TIMESTAMP)],
            Col.QUANTITY: [filled(Col.QUANTITY), between(Col.QUANTITY, 1)],
            Col.PRICE: [between(Col.PRICE, 0)],
        },
        "products": {
            Col.ITEM_ID: [filled(Col.ITEM_ID)],
            Col.TITLE: [filled(Col.TITLE)],
            Col.PRICE: [between(Col.PRICE, 0)],
            "rating_rate": [between("rating_rate", 0, 5)],
            "valid_from": [filled("valid_from")],
        },
    }


def _plain(suite: str, result: Result) -> Result:
    """A result without what differs from run to run."""
    config = result["expectation_config"]
    kwargs = {key: value for key, value in config["kwargs"].items() if key != "batch_id"}
    if result["exception_info"].get("exception_message"):
        raise DataQualityError(f"{suite}: {config['type']} {kwargs}: {result['exception_info']['exception_message']}")
    return {"suite": suite, "expectation": config["type"], "success": result["success"], "kwargs": kwargs} | {
        "result": result["result"]
    }
