"""Keeps models current: loads them in the background, follows the registry's aliases and the materializations."""

import gc
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

import pyarrow as pa

from pipelines.core.errors import ModelError, RecoMartError, ServiceError
from pipelines.core.models.bundle import Bundle
from pipelines.core.redaction import without_credentials
from serving.ports import Backends
from serving.snapshot import Snapshot

CHAMPION: Final = "champion"
RETRY_SECONDS: Final = 2.0
"""Between attempts while there is nothing, or no features, to answer with."""
STOP_SECONDS: Final = 2.0
LOOKS_A_READ: Final = 6
"""Item features are read again when they were materialized anew, and at every so many looks at the registry."""

log = logging.getLogger(__name__)


class Keeper:
    """Owns the snapshots that answers come from: the champion's, and those of the other names that are ``wanted``.

    A name is an alias or a version number of the registered model. ``held`` is replaced whole and never changed, so a
    request that reads it once sees one version a name. A snapshot takes over only after ``warm_up`` could answer a
    request with it; what could not be done leaves what was there before. ``model_error`` and ``features_error`` say
    why, ``errors`` says it of the other names.
    """

    def __init__(
        self,
        connect: Callable[[], Backends],
        warm_up: Callable[[Snapshot], object],
        refresh_seconds: float,
        wanted: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.held: Mapping[str, Snapshot] = {}
        self.model_error: str | None = "still loading"
        self.features_error: str | None = "still loading"
        self.errors: Mapping[str, str] = {}
        self._connect = connect
        self._warm_up = warm_up
        self._refresh_seconds = refresh_seconds
        self._wanted = wanted
        self._backends: Backends | None = None
        self._looks = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    @property
    def snapshot(self) -> Snapshot | None:
        """The champion's; None while there is none."""
        return self.held.get(CHAMPION)

    def snapshot_of(self, name: str) -> Snapshot | None:
        """That of an alias or a version number; None where it isn't held."""
        held = self.held
        return held.get(name) or next((one for one in held.values() if str(one.version) == name), None)

    def bundle_of(self, version: int) -> Bundle:
        """The bundle of a version: the one that is held, else one that is opened now, which may take seconds.

        Raises:
            ServiceError: the registry doesn't answer, or has no such version.
            ModelError: it is gone, or can't be used.
        """
        if found := self.snapshot_of(str(version)):
            return found.bundle
        if self._backends is None:
            raise ServiceError(f"no model can be opened: {self.model_error}")
        return self._backends.bundle(version)

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop refreshing. A load that takes longer than the patience here ends with the process."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        gc.unfreeze()

    def refresh(self) -> None:
        """Bring the snapshots up to date as far as the servers allow."""
        names = [CHAMPION, *(name for name in self._wanted() if name != CHAMPION)]
        registry_error = None
        try:
            if self._backends is None:
                self._backends = self._connect()
            versions = _resolved(names, self._backends.aliases())
        except RecoMartError as error:
            registry_error = _news(self.model_error, error)
            versions = {name: self.held[name].version for name in names if name in self.held}
        if self._backends is None:
            self.model_error = registry_error
        else:
            self._follow(self._backends, names, versions, registry_error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh()
            except BaseException as error:
                self.model_error = f"refreshing ended with an unexpected {type(error).__name__}; see the log"
                raise
            complete = self.snapshot is not None and self.features_error is None
            self._stopping.wait(self._refresh_seconds if complete else min(RETRY_SECONDS, self._refresh_seconds))

    def _follow(
        self, backends: Backends, names: Collection[str], versions: Mapping[str, int], registry_error: str | None
    ) -> None:
        """Hold ``versions`` under ``names``: the champion's as soon as it is there, each other one when it is."""
        before, self._looks = set(self._versions()), self._looks + 1
        errors: dict[str, str] = {}
        features_errors: list[str] = []
        for name in names:
            try:
                if name not in versions:
                    raise _nameless(name)
                replaces = name in self.held
                self.held = {**self.held, name: self._current(backends, versions[name], features_errors, replaces)}
            except RecoMartError as error:
                known = self.model_error if name == CHAMPION else self.errors.get(name)
                errors[name] = registry_error or _news(known, error)
        self.held = {name: one for name, one in self.held.items() if name == CHAMPION or name in versions}
        self.features_error = features_errors[0] if features_errors else None
        self.model_error = errors.pop(CHAMPION, registry_error)
        self.errors = errors
        if before != set(self._versions()):
            self._settle(backends)

    def _current(self, backends: Backends, version: int, features_errors: list[str], replaces: bool) -> Snapshot:
        """The version's snapshot as it is to be held from now on; without features only where it ``replaces`` none.

        Raises:
            ServiceError: it can't be fetched, or its features can't be read.
            ModelError: it can't be used.
        """
        there = self.snapshot_of(str(version))
        bundle = there.bundle if there else backends.bundle(version)
        try:
            snapshot = self._read(backends, version, bundle, there)
        except ServiceError as error:
            features_errors.append(_news(self.features_error, error))
            if there is None and replaces:
                raise
            snapshot = replace(there, stale=True) if there else Snapshot.without_features(version, bundle)
        if there is None:
            self._warm_up(snapshot)
            log.info("model %d serves %d items", version, len(bundle.item_ids))
        return snapshot

    def _read(self, backends: Backends, version: int, bundle: Bundle, there: Snapshot | None) -> Snapshot:
        """The bundle with its features, which are read again only where they may be others."""
        features = backends.features(str(bundle.manifest["feature_service"]))
        known = there is not None and not there.stale and there.as_of == features.as_of
        if there is not None and known and self._looks % LOOKS_A_READ:
            return there
        return Snapshot.read(version, bundle, features)

    def _versions(self) -> Iterator[int]:
        return (one.version for one in self.held.values())

    def _settle(self, backends: Backends) -> None:
        """Let go of versions that are no longer held, and take what stays out of the garbage collector's sight:

        its full passes would cost a request 100 ms. What reading took goes back to the system.
        """
        backends.release(set(self._versions()))
        gc.collect()
        gc.freeze()
        pa.default_memory_pool().release_unused()


def _resolved(names: Collection[str], aliases: Mapping[str, int]) -> dict[str, int]:
    """Name -> version, of those that name one: an alias, or a number as it is."""
    versions = {name: int(name) for name in names if name.isdecimal()}
    return versions | {name: aliases[name] for name in names if name in aliases}


def _nameless(name: str) -> ModelError:
    if name == CHAMPION:
        return ModelError("no model is promoted yet: run the pipeline as far as `register`")
    return ModelError(f"no model version goes by {name!r}")


def _news(before: str | None, error: RecoMartError) -> str:
    """The error's text without credentials; logged where it wasn't known before."""
    text = without_credentials(str(error))
    if text != before:
        log.warning("%s", text)
    return text
