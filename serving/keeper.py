"""Keeps the snapshot current: loads it in the background, follows the champion and the materializations."""

import gc
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace

from pipelines.core.bundle import Bundle
from pipelines.core.errors import ModelError, RecoMartError, ServiceError
from serving.ports import Backends
from serving.snapshot import Snapshot

RETRY_SECONDS = 2.0
"""Between attempts while there is nothing, or no features, to answer with."""

STOP_SECONDS = 2.0

log = logging.getLogger(__name__)


class Keeper:
    """Owns the current snapshot and replaces it whole, so that a request never sees two versions.

    ``model_error`` and ``features_error`` say what the last refresh could not do; what was there before stays.
    A snapshot takes over only after ``warm_up`` could answer a request with it.
    """

    def __init__(
        self, connect: Callable[[], Backends], warm_up: Callable[[Snapshot], object], refresh_seconds: float
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.model_error: str | None = "still loading"
        self.features_error: str | None = "still loading"
        self._connect = connect
        self._warm_up = warm_up
        self._refresh_seconds = refresh_seconds
        self._backends: Backends | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop refreshing. A load that takes longer than the patience here ends with the process."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        gc.unfreeze()

    def refresh(self) -> None:
        """Bring the snapshot up to date as far as the servers allow."""
        try:
            if self._backends is None:
                self._backends = self._connect()
            version, bundle = self._champion(self._backends)
            self.model_error = None
        except RecoMartError as error:
            self.model_error = _news(self.model_error, error)
            if self.snapshot is None or self._backends is None:
                return
            version, bundle = self.snapshot.version, self.snapshot.bundle
        try:
            self._replace(self._read(self._backends, version, bundle))
        except ModelError as error:
            self.model_error = _news(self.model_error, error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh()
            except BaseException as error:
                self.model_error = f"refreshing ended with an unexpected {type(error).__name__}; see the log"
                raise
            complete = self.snapshot is not None and self.features_error is None
            self._stopping.wait(self._refresh_seconds if complete else min(RETRY_SECONDS, self._refresh_seconds))

    def _champion(self, backends: Backends) -> tuple[int, Bundle]:
        """The promoted version; opened only where it isn't the current one."""
        version = backends.champion()
        if version is None:
            raise ModelError("no model is promoted yet: run the pipeline as far as `register`")
        if self.snapshot is not None and self.snapshot.version == version:
            return version, self.snapshot.bundle
        return version, backends.bundle(version)

    def _read(self, backends: Backends, version: int, bundle: Bundle) -> Snapshot:
        """The bundle with its features; where they can't be read what there is, else the bundle without them."""
        try:
            features = backends.features(str(bundle.manifest["feature_service"]))
            snapshot = Snapshot.read(version, bundle, features)
            self.features_error = None
            return snapshot
        except ServiceError as error:
            self.features_error = _news(self.features_error, error)
            current = self.snapshot
            return replace(current, stale=True) if current else Snapshot.without_features(version, bundle)

    def _replace(self, snapshot: Snapshot) -> None:
        known = self.snapshot is not None and self.snapshot.version == snapshot.version
        if not known:
            self._warm_up(snapshot)
        self.snapshot = snapshot
        if not known:
            _settle()
            log.info("model %d serves %d items", snapshot.version, len(snapshot.bundle.item_ids))


def _news(before: str | None, error: RecoMartError) -> str:
    """The error's text without credentials; logged where it wasn't known before."""
    text = re.sub(r"//[^/@\s]+@", "//***@", str(error))
    if text != before:
        log.warning("%s", text)
    return text


def _settle() -> None:
    """Take what now stays out of the garbage collector's sight: its full passes would cost a request 100 ms."""
    gc.collect()
    gc.freeze()
