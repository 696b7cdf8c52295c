"""What a command gets."""

import argparse
from pathlib import Path

from pipelines.params import Params
from pipelines.settings import Settings


class Context:
    """What a command gets: its arguments, the settings, and the hyperparameters."""

    def __init__(self, args: argparse.Namespace, settings: Settings) -> None:
        self.args = args
        self.settings = settings

    @property
    def root(self) -> Path:
        """The checkout; every path of the project is relative to it."""
        return self.settings.root

    @property
    def params(self) -> Params:
        """The hyperparameters, read when asked for."""
        return Params.load(self.root / "params.yaml")
