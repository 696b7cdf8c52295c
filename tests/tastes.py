"""A small shop with tastes that a model can learn, and parameters that fit it."""

import argparse

import numpy as np
import yaml

from pipelines.context import Context
from pipelines.settings import Settings
from tests.feature_data import CHECKOUT, Event, event, product

DAYS, CUT = 60, 46  # the newest window of 14 days begins on day 46
ITEMS = [product(f"i{n:02}", 0) for n in range(40)]


def shop(seed: int = 1) -> list[Event]:
    """40 users, two tastes: users like the items of their own parity, a few of the others."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(40):
        for _ in range(30):
            parity = user % 2 if rng.random() < 0.9 else 1 - user % 2
            item = 2 * rng.integers(0, 20) + parity
            kind = str(rng.choice(["view", "view", "click", "purchase"]))
            rows.append(event(f"u{user:02}", f"i{item:02}", kind, float(rng.uniform(0, DAYS))))
    return [*rows, event("u00", "i00", "view", DAYS - 0.01)]


def context(settings: Settings) -> Context:
    """A context with the project's parameters, the model's made small."""
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    params["candidates"]["per_source"] = 15
    params["candidates"]["svd"]["factors"] = 4
    params["ranker"]["trees"] = 20
    (settings.root / "params.yaml").write_text(yaml.safe_dump(params))
    return Context(argparse.Namespace(), settings)
