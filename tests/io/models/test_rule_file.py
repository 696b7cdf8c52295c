from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.core.errors import ConfigError
from pipelines.io.models.rule_file import NONE, load

GOOD = """\
hide:
  - {items: [007, no]}
boost:
  - {categories: [gifts], factor: 2, from: 2026-10-01, until: 2026-12-24T18:00:00+01:00}
  - max_price: 20
    new_days: 14
    add: -0.3
pin:
  - {item: P1, position: 1, categories: [toys]}
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_rules_are_read_as_they_are_written(tmp_path: Path) -> None:
    rules = load(_file(tmp_path, GOOD))
    assert rules.hide[0].items == ("007", "no")
    first, second = rules.boost
    assert (first.since, first.until) == (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 24, 17, tzinfo=UTC))
    assert first.amount == pytest.approx(0.6931472)
    assert (second.max_price, second.new_days, second.amount) == (20.0, 14.0, -0.3)
    assert (rules.pin[0].item, rules.pin[0].position, rules.pin[0].categories) == ("P1", 1, ("toys",))


@pytest.mark.parametrize("text", ["", "# nothing\n", "hide:\nboost:\npin:\n"])
def test_rules_may_be_empty(tmp_path: Path, text: str) -> None:
    assert load(_file(tmp_path, text)) == NONE


def test_rule_is_in_force_from_its_beginning_until_before_its_end(tmp_path: Path) -> None:
    rule = load(_file(tmp_path, GOOD)).boost[0]
    begins, ends = datetime(2026, 10, 1, tzinfo=UTC).timestamp(), datetime(2026, 12, 24, 17, tzinfo=UTC).timestamp()
    assert [rule.in_force(at) for at in (begins - 1, begins, ends - 1, ends)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hide:\n  - {itms: [P1]}", ":2: hide.0.itms: Extra inputs"),
        (
            "boost:\n  - {items: [P1], factor: 1}\n  - items: [P2]\n    factor: much\n",
            ":4: boost.1.factor: Input should be",
        ),
        ("boost:\n  - {items: [P1], factor: 0}", ":2: boost.0.factor: Input should be greater than 0"),
        ("boost:\n  - {items: [P1], factor: 2, add: 1}", ":2: boost.0: Value error, say either factor or add"),
        ("boost:\n\n  - {items: [P1]}", ":3: boost.0: Value error, say either factor or add"),
        ("boost:\n  - {factor: 2}", ":2: boost.0: Value error, say which items"),
        ("pin:\n  - {item: P1, position: 0}", ":2: pin.0.position: Input should be greater"),
        ("pin:\n  - {item: P1}", ":2: pin.0.position: Field required"),
        (
            "hide:\n  - {items: [P1], from: 2026-02-01, until: 2026-01-01}",
            ":2: hide.0: Value error, until is",
        ),
        ("hide:\n  - {items: [P1], from: soon}", ":2: hide.0.from: Input should be a valid datetime"),
        ("hide:\n  - {items: [P1]}\npin: []\nhide:\n  - {items: [P2]}", ":4: hide is there twice"),
        ("hide: [", ":1: this is not YAML"),
        ("- P1", ":1: rules: Input should be"),
    ],
)
def test_wrong_rule_is_named_by_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(_file(tmp_path, text))
    assert str(error.value).startswith(f"{tmp_path / 'rules.yaml'}{said}")


def test_missing_rule_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml can't be read"):
        load(tmp_path / "nothing.yaml")
