"""What the README names exists, and what exists the README names."""

import re
from pathlib import Path

import pytest

from pipelines.__main__ import COMMANDS
from pipelines.settings import VARIABLES

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def test_readme_names_every_make_target_and_no_other() -> None:
    named = re.findall(r"(?:^|`|\()make (?:-s )?([a-z][a-z-]*)", README, re.MULTILINE)
    assert set(named) == TARGETS


def test_readme_names_every_command_and_no_other() -> None:
    assert set(re.findall(r"python -m pipelines ([a-z][a-z-]*)", README)) == set(COMMANDS)


def test_readme_names_every_variable() -> None:
    table = set(re.findall(r"^\| `([A-Z_]+)`", README, re.MULTILINE))
    assert table == set(VARIABLES.values())


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_readme_link_leads_somewhere(link: str) -> None:
    assert (CHECKOUT / link).exists()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:pipelines|serving|feature_repo|notebooks|tests)/[\w./-]+)`", README)))
)
def test_readme_path_exists(path: str) -> None:
    assert (CHECKOUT / path).exists()


def test_readme_says_that_the_demo_shop_is_simulated() -> None:
    assert "simulated" in README.split("## ")[0]
