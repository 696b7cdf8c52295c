"""The report on experiments, from the tables to the screen."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pipelines.__main__ import main
from pipelines.io.live import live_log, recommendation_log
from pipelines.settings import Settings
from tests.io.live.test_experiment_log import START, Shop

PLAN = """
experiments:
  - name: spring
    arms: [{name: old, model: champion, weight: 0.5}, {name: new, model: challenger, weight: 0.5}]
"""


@pytest.fixture
def cli(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command line on a log: of 20 users 6 of arm `old` converted, of 20 12 of arm `new`."""
    os.environ.update(settings.exported())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN, encoding="utf-8")
    os.environ["RECOMART_EXPERIMENTS"] = "plan.yaml"
    hour = (datetime.now(UTC) - timedelta(days=2) - START).total_seconds() / 3600
    with psycopg.connect(settings.postgres_conninfo) as connection:
        recommendation_log.create(connection)
        live_log.create(connection)
        shop = Shop(connection)
        for arm, converted in (("old", 6), ("new", 12)):
            for n in range(20):
                shop.shown(hour, f"{arm}{n}", "P1 P2", arm=arm, version=1 + (arm == "new"))
                if n < converted:
                    shop.did(hour + 1, f"{arm}{n}", "P1", "purchase")
    return tmp_path


def test_report_as_json_has_every_figure(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wilson 6/20: .1455 to .5190, 12/20: .3866 to .7812; z = .3 / sqrt(.45·.55·.1) = 1.907, p = .0565."""
    assert main(["experiment", "report", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (spring,) = document["experiments"]
    old, new = spring["arms"]
    assert (spring["experiment"], spring["sample_ratio_p"], spring["users_in_several_arms"]) == ("spring", 1.0, 0)
    assert (old["arm"], old["model_versions"], old["exposures"], old["users"]) == ("old", [1], 20, 20)
    assert (old["conversions"], old["by_type"]) == (6, {"click": 0, "add_to_cart": 0, "purchase": 6})
    assert [round(old["rate"][name], 4) for name in ("value", "low", "high")] == [0.3, 0.1455, 0.519]
    assert [round(new["rate"][name], 4) for name in ("value", "low", "high")] == [0.6, 0.3866, 0.7812]
    assert old["difference"] is None
    assert (round(new["difference"]["value"], 4), round(new["difference"]["p"], 4)) == (0.3, 0.0565)
    assert (new["snips"]["value"], old["snips"]["value"]) == (0.6, 0.3)


def test_report_for_people_has_a_line_an_arm(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "report", "--experiment", "spring", "--days", "7"]) == 0
    title, header, old, new = capsys.readouterr().out.strip().splitlines()
    assert title == "spring: the last 7 days; conversions within 24 hours"
    assert header.split() == ["ARM", "MODEL", "SHOWN", "USERS", "CONVERTED", "RATE", "DIFFERENCE", "P", "SNIPS"]
    assert old.split()[:7] == ["old", "1", "20", "20", "6", "30.00%", "(14.55%"]
    assert new.split()[:6] == ["new", "2", "20", "20", "12", "60.00%"]
    assert "+30.00%" in new
    assert "0.057" in new


def test_report_compares_with_the_arm_that_is_asked_for(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "report", "--against", "new"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("new")
    assert "-30.00%" in lines[3]


def test_report_on_what_was_not_logged_says_what_was(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "report", "--experiment", "autumn"]) == 1
    assert "nothing is logged of 'autumn' in the last 30 days; there are: spring" in capsys.readouterr().err
    assert main(["experiment", "report", "--against", "x"]) == 1
    assert "nothing is logged of an arm 'x'; there are: new, old" in capsys.readouterr().err


def test_report_before_anything_was_shown_says_so(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "report", "--days", "1"]) == 0
    assert capsys.readouterr().out == "no experiment showed anything in the last 1 days\n"


def test_report_warns_where_users_do_not_go_with_the_weights(
    cli: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    hour = (datetime.now(UTC) - timedelta(days=2) - START).total_seconds() / 3600
    with psycopg.connect(settings.postgres_conninfo) as connection:
        shop = Shop(connection)
        shop.n = 1000
        for n in range(40):
            shop.shown(hour, f"more{n}", "P1", arm="new")
        shop.shown(hour, "old1", "P1", arm="new")
    assert main(["experiment", "report"]) == 0
    printed = capsys.readouterr().out
    assert "don't trust these figures" in printed
    assert "1 users are in more than one arm" in printed


@pytest.mark.parametrize("argument", ["0", "-1", "x"])
def test_report_refuses_days_that_are_none(cli: Path, argument: str) -> None:
    with pytest.raises(SystemExit):
        main(["experiment", "report", f"--days={argument}"])
