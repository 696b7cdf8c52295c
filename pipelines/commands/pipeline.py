"""Run every stage whose inputs changed; with a stage's name, that stage and what it needs."""

import argparse

from pipelines import flow
from pipelines.context import Context
from pipelines.io import notices


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("stage", nargs="?", help="a stage of dvc.yaml (default: all)")


def run(context: Context) -> None:
    """Run the pipeline."""
    with notices.told(context.settings, "pipeline"), flow.alone(context.root):
        flow.run(context.settings, context.args.stage)
