"""The core of ingest, validate and prepare as a script in pandas would do it; without line numbers, plots or reports.

Usage: python lake_pandas.py ROOT, after ROOT/data/demo was simulated.
"""

import json
import sys
from pathlib import Path

import pandas as pd

root = Path(sys.argv[1])
known = {product["id"] for product in json.loads((root / "data/demo/catalogue.json").read_text())}
types = {"view", "click", "add_to_cart", "remove_from_cart", "purchase"}
log = pd.concat(
    pd.read_csv(path, dtype=str, on_bad_lines="skip", keep_default_na=False)
    for path in sorted((root / "data/demo/clickstream").iterdir())
)
for name in log.columns:
    log[name] = log[name].str.strip()
log["timestamp"] = pd.to_datetime(log["timestamp"], utc=True, errors="coerce", format="ISO8601")
given = log["quantity"]
log["quantity"] = pd.to_numeric(given.where(given != "", "1"), errors="coerce")
paid = log["price"]
log["price"] = pd.to_numeric(paid, errors="coerce")
wrong = {
    "missing user_id": log["user_id"] == "",
    "missing item_id": log["product_id"] == "",
    "not in the catalogue": ~log["product_id"].isin(known),
    "unknown event_type": ~log["event_type"].isin(types),
    "timestamp": log["timestamp"].isna() | (log["timestamp"] > pd.Timestamp.now(tz="UTC")),
    "quantity": ~(log["quantity"] >= 1) | (log["quantity"] % 1 != 0),
    "price": (log["price"] < 0) | (log["price"].isna() & (paid != "")),
}
reasons = pd.DataFrame(wrong)
bad = reasons.any(axis=1)
log[bad].assign(reasons=reasons[bad].apply(lambda row: list(row.index[row]), axis=1)).to_parquet(root / "bad.parquet")
good = log[~bad].drop_duplicates("event_id").sort_values(["timestamp", "event_id"])
for day, events in good.groupby(good["timestamp"].dt.date):
    part = root / f"pandas/date={day}/part-0.parquet"
    part.parent.mkdir(parents=True)
    events.to_parquet(part, compression="zstd")
late = good.groupby("user_id")["timestamp"].diff() > pd.Timedelta(minutes=30)
number = late.astype("int64").groupby(good["user_id"]).cumsum().astype(str)
good["session_id"] = good["session_id"].where(good["session_id"] != "", good["user_id"] + "-" + number)
good.to_parquet(root / "pandas/prepared.parquet", compression="zstd")
