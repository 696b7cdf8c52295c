"""What is published never changes: the records of feature views and services.

A published view keeps its keys, features, types, time to live, table and meaning; a published service keeps what it
offers. What must change becomes a new version beside it. What nothing needs any more is retired; its name stays taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pipelines.core.features.meanings import ROWS

FORMAT: Final = 1

Meanings = Mapping[str, Mapping[str, str]]
"""View -> ``rows`` and features -> digest (core/features/meanings.py)."""


@dataclass(frozen=True)
class View:
    """A feature view as ``feature_repo/definitions.py`` declares it."""

    keys: tuple[str, ...]
    features: Mapping[str, str]
    """Name -> Feast's type, in order."""
    ttl_s: int
    table: str
    max_age: str = field(default="", compare=False)
    """The age from which its values are stale; operation, not meaning."""


@dataclass(frozen=True)
class Declared:
    """All that is declared: views, and services with the full names of what they offer."""

    views: Mapping[str, View]
    services: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Record:
    """A view as it was published."""

    view: View
    meaning: Mapping[str, str]
    retired: str | None = None
    """The date; None while it is in use."""


@dataclass(frozen=True)
class ServiceRecord:
    """A service as it was published."""

    features: tuple[str, ...]
    retired: str | None = None

    @property
    def views(self) -> tuple[str, ...]:
        """The views that it pins, in order."""
        return tuple(dict.fromkeys(name.partition("__")[0] for name in self.features))


@dataclass(frozen=True)
class Published:
    """Everything that was ever published."""

    views: Mapping[str, Record]
    services: Mapping[str, ServiceRecord]


def with_new(published: Published, declared: Declared, meanings: Meanings) -> Published:
    """The records with those of what is declared and wasn't recorded yet; no record is replaced."""
    views = {name: Record(view, meanings[name]) for name, view in declared.views.items()}
    services = {name: ServiceRecord(features) for name, features in declared.services.items()}
    return Published({**views, **published.views}, {**services, **published.services})


def obstacles(published: Published, declared: Declared, name: str) -> list[str]:
    """Why ``name``, a view or service, can't be retired; empty where it can."""
    records: Mapping[str, Record | ServiceRecord] = {**published.views, **published.services}
    if name not in records:
        return [f"{name} was never published: {', '.join(sorted(records))} are"]
    if retired := records[name].retired:
        return [f"{name} was retired on {retired}"]
    if name in declared.views or name in declared.services:
        return [f"{name} is still in feature_repo/definitions.py: take it out there first"]
    pinned = [s for s, record in published.services.items() if name in record.views and not record.retired]
    return [f"the service {service} pins {name}: retire {service} first" for service in sorted(pinned)]


def readers(published: Published, name: str) -> tuple[str, ...]:
    """The services that read ``name`` or are it: what models that need it say that they read."""
    return tuple(sorted(s for s, record in published.services.items() if s == name or name in record.views))


def retire(published: Published, name: str, date: str) -> Published:
    """The records with ``name`` retired."""
    views = {n: replace(record, retired=date) if n == name else record for n, record in published.views.items()}
    services = {n: replace(record, retired=date) if n == name else record for n, record in published.services.items()}
    return Published(views, services)


def to_json(published: Published) -> dict[str, Any]:
    """The form in which records are stored."""
    views = {
        name: {
            "keys": list(record.view.keys),
            "features": [[name, dtype, record.meaning[name]] for name, dtype in record.view.features.items()],
            "rows": record.meaning[ROWS],
            "ttl_s": record.view.ttl_s,
            "table": record.view.table,
            "retired": record.retired,
        }
        for name, record in published.views.items()
    }
    services = {
        name: {"features": list(record.features), "retired": record.retired}
        for name, record in published.services.items()
    }
    return {"format": FORMAT, "views": views, "services": services}


def of_json(stored: Mapping[str, Any]) -> Published:
    """What ``to_json`` gave."""
    views = {}
    for name, view in stored["views"].items():
        features = {feature: dtype for feature, dtype, _ in view["features"]}
        meaning = {ROWS: view["rows"]} | {feature: digest for feature, _, digest in view["features"]}
        declared = View(tuple(view["keys"]), features, view["ttl_s"], view["table"])
        views[name] = Record(declared, meaning, view["retired"])
    services = {
        name: ServiceRecord(tuple(service["features"]), service["retired"])
        for name, service in stored["services"].items()
    }
    return Published(views, services)
