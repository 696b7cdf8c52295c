"""Let the service run the champion before the present one again, or any other version."""

import argparse
import getpass
import logging
import socket
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pipelines.context import Context
from pipelines.core.errors import ModelError
from pipelines.core.models import ranker_inputs
from pipelines.io.models import bundles, promotion, registry
from pipelines.io.models.registry import Known

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare where to."""
    parser.add_argument(
        "--to", metavar="VERSION", help="a version's number or alias (default: the champion before the last promotion)"
    )


def run(context: Context) -> None:
    """Go back, once the version is known to be whole, and print what the service runs from now on.

    Raises:
        ModelError: there is no such version, none to go back to, or its bundle is missing or damaged.
        ServiceError: MLflow doesn't answer.
    """
    uri = context.settings.mlflow_tracking_uri
    versions = registry.known(uri)
    wanted = registry.named(versions, context.args.to) if context.args.to else None
    way = promotion.way_back(versions, wanted)
    if way.done:
        restored = way.champion.tags.get(promotion.RESTORED)
        since = f", restored {restored}; `--to` goes to any other" if restored else ""
        _print(f"version {way.champion.number} is champion already{since}")
        return
    manifest = _verify(uri, way.target)
    promotion.go_back(uri, way, f"{getpass.getuser()}@{socket.gethostname()}", datetime.now(UTC))
    log.info("champion: version %d in place of %d", way.target.number, way.champion.number)
    _print(
        f"the service runs version {way.target.number} from now on, in place of {way.champion.number}: "
        f"events before {manifest['cut'][:16]}, {manifest['feature_service']}"
    )
    _print("it looks for its champion every ten seconds; `python -m pipelines models` lists all versions")


def _verify(uri: str, version: Known) -> dict[str, str]:
    """The manifest of a version's bundle, fetched and read whole.

    Raises:
        ModelError: it is missing or damaged, or this version of RecoMart can't serve it.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            bundle = bundles.load(registry.fetch(uri, version.number, Path(folder) / "bundle"))
            ranker_inputs.reads(bundle.manifest["feature_service"])
        except ModelError as error:
            raise ModelError(f"version {version.number} can't be served, the champion stays: {error}") from None
        return dict(bundle.manifest)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
