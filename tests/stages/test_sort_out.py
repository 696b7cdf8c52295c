"""Every row of the raw log ends as exactly one of good, quarantined and duplicate, each where it belongs."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.core.columns import EVENT_SCHEMA
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.io.intake.sources import load_mapping
from pipelines.io.quality import sorting, staging
from pipelines.stages import validate

HEADER = "user_id,product_id,event_type,timestamp,quantity,price,event_id"
ARRIVED = datetime(2026, 2, 5, tzinfo=UTC)
KNOWN = pa.table({"item_id": pa.array(["P1", "P2"])})


FIRST, SECOND, THIRD, FOURTH = (f"2026/02/0{day}/clickstream.csv" for day in range(1, 5))


def fill(root: Path, logs: dict[str, bytes], **marks: Any) -> lake.Manifest:
    """Put files at their paths in the raw lake."""
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM, "clickstream")
    for path, content in logs.items():
        file = root / lake.CLICKSTREAM / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        rows, now = content.count(b"\n"), ARRIVED.isoformat()
        manifest.add({"path": path, "sha256": files.sha256(file), "rows": rows, "ingested_at": now} | marks)
    manifest.write()
    return manifest


def sort_out(root: Path, manifest: lake.Manifest, mapping: SourceMapping | None = None) -> dict[str, Any]:
    try:
        return validate.sort_out(root, manifest, mapping or load_mapping("clickstream", root), KNOWN)
    finally:
        files.remove(root / validate.STAGED)


def good(root: Path) -> pa.Table:
    return ds.dataset(root / validate.EVENTS, schema=EVENT_SCHEMA, format="parquet").to_table()


def quarantined(root: Path) -> list[dict[str, Any]]:
    return pq.read_table(root / "data/quarantine/events.parquet").to_pylist()


def log(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


GOOD = "U1,P1,view,2026-02-01T10:00:00Z,,,E{}"
LINES = {
    "good": "U1,P1,view,2026-02-0{day}T10:00:00Z,,,E{n}",
    "bad": "U1,P9,stare,2026-02-0{day}T10:00:00Z,,,E{n}",
    "torn": "U1,P1",
    "empty": "",
}
rows = st.tuples(st.sampled_from([*LINES]), st.integers(1, 4), st.integers(0, 6))


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs=st.lists(st.lists(rows, max_size=12), min_size=1, max_size=3), newline=st.sampled_from(["\n", "\r\n"]))
def test_rows_in_are_good_quarantined_or_duplicates(
    tmp_path_factory: pytest.TempPathFactory, logs: list[list[tuple[str, int, int]]], newline: str
) -> None:
    root = tmp_path_factory.mktemp("lake")
    content, seen, expected = {}, set(), {"good": [], "quarantined": [], "duplicates": []}  # type: ignore[var-annotated]
    for number, lines in enumerate(logs):
        name = f"2026/02/0{number + 1}/clickstream.csv"
        text = newline.join([HEADER, *(LINES[kind].format(day=day, n=n) for kind, day, n in lines), "end"])
        content[name] = text.encode()
        for line, (kind, _, n) in enumerate(lines, 2):
            fate = "quarantined" if kind != "good" else "duplicates" if n in seen else "good"
            seen |= {n} if kind == "good" else set()
            expected[fate].append((name, line))
        expected["quarantined"].append((name, len(lines) + 2))
    summary = sort_out(root, fill(root, content))
    assert summary["rows"] == sum(len(lines) + 1 for lines in logs)
    assert summary["rows"] == summary["good"] + summary["quarantined"] + summary["duplicates"]
    assert [(row["file"], row["line"]) for row in quarantined(root)] == expected["quarantined"]
    again = pq.read_table(root / "data/quarantine/duplicates.parquet").to_pylist()
    assert [(row["file"], row["line"]) for row in again] == expected["duplicates"]
    assert len(good(root)) == len(expected["good"]) == sum(summary["days"].values())


def test_late_event_lands_on_its_own_day(tmp_path: Path) -> None:
    late = "U1,P1,view,2026-01-30T23:59:59.5Z,,,E0"
    sort_out(tmp_path, fill(tmp_path, {FIRST: log(GOOD.format(1), late)}))
    found = {path.parent.name: pq.read_table(path)["event_id"].to_pylist() for path in tmp_path.rglob("part-0.parquet")}
    assert found == {"date=2026-01-30": ["E0"], "date=2026-02-01": ["E1"]}


def test_events_of_a_day_are_in_order_of_time_and_id(tmp_path: Path) -> None:
    lines = ["U1,P1,view,2026-02-01T10:00:00Z,,,E2", "U1,P1,view,2026-02-01T09:00:00Z,,,E3", GOOD.format(1)]
    sort_out(tmp_path, fill(tmp_path, {FIRST: log(*lines), SECOND: log(GOOD.format(0))}))
    assert good(tmp_path)["event_id"].to_pylist() == ["E3", "E0", "E1", "E2"]


def test_large_day_is_cut_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"U1,P1,view,2026-02-01T{n * 7 % 24:02d}:00:00Z,,,E{n:02d}" for n in range(24)]
    manifest = fill(tmp_path, {FIRST: log(*lines, lines[3])})
    sort_out(tmp_path, manifest)
    whole = files.sha256(tmp_path / validate.EVENTS / "date=2026-02-01/part-0.parquet")
    monkeypatch.setattr(sorting, "DAY_ROWS", 5)
    monkeypatch.setattr(staging, "_IDS_A_BUCKET", 2)
    assert sort_out(tmp_path, manifest)["duplicates"] == 1
    assert files.sha256(tmp_path / validate.EVENTS / "date=2026-02-01/part-0.parquet") == whole


def test_cancellations_are_good_rows_of_their_own_file(tmp_path: Path) -> None:
    mapping = load_mapping("clickstream", tmp_path)
    mapping = SourceMapping.parse(
        mapping.model_dump(by_alias=True) | {"cancellations": {"column": "event_type", "is_in": ["refund"]}}, "test"
    )
    refund = "U1,P1,refund,2026-02-02T10:00:00Z,-2,,R1"
    summary = sort_out(tmp_path, fill(tmp_path, {FIRST: log(GOOD.format(1), refund)}), mapping)
    assert (summary["good"], summary["events"], summary["cancellations"]) == (2, 1, 1)
    (found,) = pq.read_table(tmp_path / validate.CANCELLATIONS).to_pylist()
    assert (found["event_id"], found["quantity"]) == ("R1", 2)


def test_withdrawn_file_is_not_read(tmp_path: Path) -> None:
    manifest = fill(tmp_path, {FIRST: log(GOOD.format(1))})
    fill(tmp_path, {SECOND: b"nonsense"}, withdrawn="2026-02-03T00:00:00+00:00")
    manifest = lake.Manifest.read(tmp_path / lake.CLICKSTREAM)
    assert list(sort_out(tmp_path, manifest)["files"]) == [FIRST]


def repairs(*lines: str) -> bytes:
    return "\n".join([f"_file,_line,{HEADER}", *lines, ""]).encode()


def test_repaired_row_is_good_and_the_old_one_says_where(tmp_path: Path) -> None:
    fill(tmp_path, {FIRST: log("U1,P1,vew,2026-02-01T10:00:00Z,,,E1", GOOD.format(2))})
    fill(tmp_path, {THIRD: repairs(f"{FIRST},2,{GOOD.format(1)}")}, repairs=True)
    summary = sort_out(tmp_path, lake.Manifest.read(tmp_path / lake.CLICKSTREAM))
    assert (summary["good"], summary["quarantined"], summary["repaired"]) == (2, 1, 1)
    (row,) = quarantined(tmp_path)
    assert (row["file"], row["line"], row["repaired_in"]) == (FIRST, 2, f"{THIRD}:2")
    assert good(tmp_path)["event_id"].to_pylist() == ["E1", "E2"]


def test_repair_that_was_refused_can_be_repaired(tmp_path: Path) -> None:
    fill(tmp_path, {FIRST: log("U1,P1,vew,2026-02-01T10:00:00Z,,,E1")})
    fill(tmp_path, {THIRD: repairs(f"{FIRST},2,U1,P1,viw,2026-02-01T10:00:00Z,,,E1")}, repairs=True)
    fill(tmp_path, {FOURTH: repairs(f"{THIRD},2,{GOOD.format(1)}")}, repairs=True)
    summary = sort_out(tmp_path, lake.Manifest.read(tmp_path / lake.CLICKSTREAM))
    assert (summary["good"], summary["quarantined"], summary["repaired"]) == (1, 2, 2)
    assert {row["repaired_in"] for row in quarantined(tmp_path)} == {f"{FOURTH}:2"}


def test_repaired_row_that_became_good_by_itself_counts_once(tmp_path: Path) -> None:
    fill(tmp_path, {FIRST: log("U1,P1,stare,2026-02-01T10:00:00Z,,,", GOOD.format(2))})
    fill(tmp_path, {THIRD: repairs(f"{FIRST},2,U1,P1,view,2026-02-01T10:00:00Z,,,")}, repairs=True)
    mapping = load_mapping("clickstream", tmp_path)
    knows = {"event_type": {"column": "event_type", "values": {"view": "view", "stare": "view"}}}
    mapping = SourceMapping.parse(mapping.model_dump(by_alias=True) | knows, "test")
    summary = sort_out(tmp_path, lake.Manifest.read(tmp_path / lake.CLICKSTREAM), mapping)
    assert (summary["good"], summary["quarantined"], summary["duplicates"]) == (2, 0, 1)
    assert summary["files"][FIRST] == {"rows": 2, "quarantined": 0, "duplicates": 1}


def test_repair_that_repeats_an_event_repairs_nothing(tmp_path: Path) -> None:
    fill(tmp_path, {FIRST: log("U1,P1,vew,2026-02-01T10:00:00Z,,,E1", GOOD.format(1))})
    fill(tmp_path, {THIRD: repairs(f"{FIRST},2,{GOOD.format(1)}")}, repairs=True)
    summary = sort_out(tmp_path, lake.Manifest.read(tmp_path / lake.CLICKSTREAM))
    assert (summary["good"], summary["duplicates"], summary["repaired"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (
            {"encoding": "latin-1", "delimiter": ";", "decimal": ","},
            "U1;Café;purchase;2026-02-01T10:00:00Z;2;1.234,50;E1",
        ),
        ({"encoding": "utf-16", "delimiter": "\t"}, "U1\tCafé\tpurchase\t2026-02-01T10:00:00Z\t2\t1234.5\tE1"),
        ({"encoding": "cp1252", "delimiter": "|"}, 'U1|"Café"|purchase|2026-02-01T10:00:00Z|2|1234.50|E1'),
    ],
)
def test_other_forms_of_csv(tmp_path: Path, form: dict[str, str], text: str) -> None:
    mapping = load_mapping("clickstream", tmp_path).model_dump(by_alias=True) | {"format": form}
    content = "\r\n".join([HEADER.replace(",", form["delimiter"]), text]).encode(form["encoding"])
    known = pa.table({"item_id": pa.array(["Café"])})
    manifest = fill(tmp_path, {FIRST: content})
    validate.sort_out(tmp_path, manifest, SourceMapping.parse(mapping, "test"), known)
    (row,) = good(tmp_path).to_pylist()
    assert (row["item_id"], row["quantity"], row["price"]) == ("Café", 2, 1234.5)


DIRT = {
    "missing user_id": ",P1,view,{t},1,9.5,D{n}",
    "missing item_id": "U1, ,view,{t},1,9.5,D{n}",
    "item_id is not in the catalogue": "U1,P9,view,{t},1,9.5,D{n}",
    "unknown event_type": "U1,P1,stare,{t},1,9.5,D{n}",
    "missing timestamp": "U1,P1,view,,1,9.5,D{n}",
    "unparsable timestamp": "U1,P1,view,2026-02-30T10:00:00Z,1,9.5,D{n}",
    "timestamp in the future": "U1,P1,view,2026-02-05T01:00:01Z,1,9.5,D{n}",
    "timestamp before 1990": "U1,P1,view,1970-01-01T00:00:00Z,1,9.5,D{n}",
    "quantity is not a whole number": "U1,P1,purchase,{t},1.5,9.5,D{n}",
    "quantity below 1": "U1,P1,purchase,{t},0,9.5,D{n}",
    "price is not a number": "U1,P1,purchase,{t},1,9.5£,D{n}",
    "negative price": "U1,P1,purchase,{t},1,-9.5,D{n}",
    "wrong number of fields": "U1,P1,view,{t}",
    "undecodable bytes": "U\xff1,P1,view,{t},1,9.5,D{n}",
}


@pytest.mark.slow
def test_million_rows_with_a_per_cent_of_dirt(tmp_path: Path) -> None:
    n, rng = 1_000_000, random.Random(3)
    dirty = dict(zip(rng.sample(range(1, n), n // 100), rng.choices([*DIRT, "duplicate"], k=n // 100), strict=True))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lines, last = [HEADER], ""
    for at in range(n):
        kind, t = dirty.get(at), f"{start + timedelta(seconds=3 * at):%Y-%m-%dT%H:%M:%SZ}"
        if kind is None:  # some in quotes, some with quotes in them
            view = "view" if at % 9 else '"view"'
            last = f"U{at % 977},P1,{view},{t},,,E{at}"
        lines.append(last if kind in (None, "duplicate") else DIRT[kind].format(t=t, n=at))
    content = b"\n".join(line.encode("latin-1") for line in lines)  # so that one kind is no UTF-8
    summary = sort_out(tmp_path, fill(tmp_path, {FIRST: content}))
    refused = {row["line"]: row["reasons"] for row in quarantined(tmp_path)}
    assert refused == {at + 2: [kind] for at, kind in dirty.items() if kind != "duplicate"}
    again = pq.read_table(tmp_path / "data/quarantine/duplicates.parquet")["line"].to_pylist()
    assert again == sorted(at + 2 for at, kind in dirty.items() if kind == "duplicate")
    assert summary["good"] == n - len(dirty)
    assert set(good(tmp_path)["event_id"].to_pylist()) == {f"E{at}" for at in range(n) if at not in dirty}


LIVE_HEADER = "event_id,user_id,product_id,event_type,timestamp,session_id,device,quantity,price"


def test_live_events_are_read_in_their_own_layout_whatever_that_of_the_log(tmp_path: Path) -> None:
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID"
    row = "536365,85123,LAMP,6,2026-02-01 08:26:00,2.55,17850.0"
    rows = ["e1,u1,P1,view,2026-02-02T10:00:00.000005Z,s1,mobile,1,", "e2,u1,,purchase,2026-02-02T10:00:01Z,,,1,9.5"]
    rows.append(rows[0])
    fill(tmp_path, {FIRST: "\n".join([header, row, ""]).encode()})
    live = {"span": "x", "first": 1, "last": 3}
    manifest = fill(tmp_path, {"2026/02/02/live.csv": "\n".join([LIVE_HEADER, *rows, ""]).encode()}, live=live)
    mapping = load_mapping("online-retail", tmp_path)
    try:
        found = validate.sort_out(tmp_path, manifest, mapping, None)
    finally:
        files.remove(tmp_path / validate.STAGED)
    assert (found["good"], found["quarantined"], found["duplicates"]) == (2, 1, 1)
    assert found["reasons"] == {"missing item_id": 1}
    first, second = good(tmp_path).to_pylist()
    assert (first["item_id"], first["event_type"], first["quantity"]) == ("85123", "purchase", 6)
    assert (second["event_id"], second["session_id"], second["device"], second["price"]) == ("e1", "s1", "mobile", None)
    assert second["timestamp"] == datetime(2026, 2, 2, 10, 0, 0, 5, UTC)
    products = pq.read_table(tmp_path / validate.PRODUCTS).to_pylist()
    assert [(p["item_id"], p["title"]) for p in products] == [("85123", "LAMP"), ("P1", "P1")]


def test_live_event_that_the_log_has_too_counts_once(tmp_path: Path) -> None:
    fill(tmp_path, {FIRST: log("u1,P1,view,2026-02-01T10:00:00Z,1,,e1")})
    live = "\n".join([LIVE_HEADER, "e1,u1,P1,view,2026-02-01T10:00:00Z,,,1,", ""]).encode()
    found = sort_out(tmp_path, fill(tmp_path, {"2026/02/01/live.csv": live}, live={"span": "x", "first": 1, "last": 1}))
    assert (found["good"], found["duplicates"]) == (1, 1)
