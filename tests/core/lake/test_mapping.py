"""A source mapping is checked field by field, and its errors name file and field."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import ConfigError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io.intake.sources import BUILT_IN, load_mapping

GOOD: dict[str, Any] = {
    "name": "mine",
    "columns": {"user_id": "who", "item_id": {"column": "what", "strip_suffix": ".0"}, "price": "cost"},
    "optional": ["price"],
    "event_type": {"column": "did", "values": {"Buy": "purchase"}},
    "timestamp": {"column": "when", "format": ["%d.%m.%Y %H:%M"], "timezone": "Europe/Berlin"},
    "filters": [{"reason": "test account", "column": "who", "starts_with": "test"}],
    "catalogue": {"from": "log", "title": "name"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    mapping = deepcopy(GOOD)
    inner = mapping
    *parents, last = path.split(".")
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return mapping


def test_mapping_names_the_columns_it_requires() -> None:
    mapping = SourceMapping.parse(GOOD, "mine.yaml")
    assert mapping.required == ["who", "what", "when", "did", "name"]
    assert mapping.event_type.translation == {"buy": "purchase"}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("columns.user", "who", "columns.user"),
        ("columns", {"user_id": "who"}, "columns.item_id"),
        ("timestamp.timezone", "Europe/Atlantis", "timestamp.timezone: .*no such time zone"),
        ("event_type", {"constant": "purchase", "column": "did"}, "event_type: .*either constant or column"),
        ("event_type.values", {"Buy": "bought"}, "event_type.values.Buy"),
        ("filters", [{"reason": "x", "column": "who"}], "filters.0: .*exactly one of"),
        ("filters", [{"reason": "x", "column": "who", "matches": "("}], "filters.0.matches: .*regular expression"),
        ("catalogue", {"from": "log"}, "catalogue: .*needs title"),
        ("max_bad_share", 2, "max_bad_share"),
        ("format", {"delimiter": "||"}, "format.delimiter"),
    ],
)
def test_mapping_error_names_file_and_field(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"mine.yaml: {message}"):
        SourceMapping.parse(changed(path, value), "mine.yaml")


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.yaml")), ids=lambda path: path.stem)
def test_built_in_mapping_loads_by_its_name(path: Path, tmp_path: Path) -> None:
    name = path.stem.replace("_", "-")
    assert load_mapping(name, tmp_path).name == name


def test_mapping_of_ones_own_loads_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((BUILT_IN / "clickstream.yaml").read_text().replace("name: click", "name: my"))
    assert load_mapping("mine.yaml", tmp_path).name == "mystream"


def test_unknown_mapping_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clickstream, online-retail"):
        load_mapping("nope", tmp_path)
