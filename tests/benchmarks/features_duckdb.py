"""Counts of users, items and pairs over 7 and 30 days and all time, by range windows in DuckDB: the plain way.

A row a key and day with events. What this leaves out: rows where a window decays, money, cancellations, distinct
counts, rates, categories, recent items.
"""

import sys
from pathlib import Path

import duckdb

KEYS = {"user": "user_id", "item": "item_id", "user_item": "user_id, item_id"}
KINDS = {"views": "view", "clicks": "click", "carts": "add_to_cart", "purchases": "purchase"}
FRAMES = {
    "7d": "RANGE BETWEEN INTERVAL 6 DAY PRECEDING AND CURRENT ROW",
    "30d": "RANGE BETWEEN INTERVAL 29 DAY PRECEDING AND CURRENT ROW",
    "all": "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
}


def main(root: Path) -> None:
    """Write a Parquet file a view."""
    con = duckdb.connect(config={"memory_limit": "4GB"})
    con.execute("SET timezone = 'UTC'")
    daily = ", ".join(f"count(*) FILTER (event_type = '{kind}') AS {name}" for name, kind in KINDS.items())
    for view, keys in KEYS.items():
        over = ", ".join(
            f"sum({name}) OVER (PARTITION BY {keys} ORDER BY day {frame}) AS {name}_{span}"
            for name in KINDS
            for span, frame in FRAMES.items()
        )
        log = f"FROM '{root}/data/processed/prepared_interactions.parquet' WHERE NOT is_bot"
        days = f"SELECT {keys}, date_trunc('day', timestamp) AS day, {daily} {log} GROUP BY ALL"
        query = f"SELECT {keys}, day, {over} FROM ({days}) ORDER BY day, {keys}"
        con.execute(f"COPY ({query}) TO '{root}/{view}.parquet' (COMPRESSION zstd)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
