"""A recommendation from the request that made it to the row that is kept of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pipelines.core.lists import packing
from pipelines.core.lists.logged import Logged
from serving.experiments import Assignment
from serving.filters import Query
from serving.recommender import Evidence, Recommendation, Recommended
from serving.snapshot import Snapshot

USUAL: Final = {field.name: field.default for field in fields(Query) if field.name != "user_id"}
"""Field of a query → its value where nobody asks for another."""


@dataclass(frozen=True)
class Exposure:
    """A recommendation as the request leaves it: all by reference."""

    id: str
    snapshot: Snapshot
    query: Query
    strategy: str
    degraded: Sequence[str]
    items: Sequence[Recommended]
    seed: int
    assignment: Assignment
    at: float
    """Epoch seconds."""
    evidence: Evidence | None
    """The recommendation's, if it is to be kept. Nothing else here holds it: it is a hundred times as large."""
    shadow_of: str | None = None

    @classmethod
    def of(
        cls,
        recommendation_id: str,
        snapshot: Snapshot,
        query: Query,
        decided: Recommendation,
        assignment: Assignment,
        at: float,
        shadow_of: str | None = None,
    ) -> "Exposure":
        """What was decided ``at`` (epoch seconds), with its evidence."""
        return cls(
            recommendation_id,
            snapshot,
            query,
            decided.strategy,
            decided.degraded,
            decided.items,
            decided.evidence.how.seed,
            assignment,
            at,
            decided.evidence,
            shadow_of,
        )


def logged(exposure: Exposure) -> Logged:
    """What is kept of a recommendation."""
    snapshot, query = exposure.snapshot, exposure.query
    at = datetime.fromtimestamp(exposure.at, UTC)
    ages = {view.view: view.age(at) for view in snapshot.views}
    item_ids = snapshot.bundle.item_ids
    return Logged(
        id=UUID(exposure.id),
        at=at,
        user_id=None if query.user_id is None else _text(query.user_id),
        model_version=snapshot.version,
        feature_service=snapshot.feature_service,
        experiment=exposure.assignment.experiment,
        arm=exposure.assignment.arm,
        propensity=exposure.assignment.propensity,
        strategy=exposure.strategy,
        degraded=list(exposure.degraded),
        query=_asked(query),
        items=[
            {"item_id": str(item_ids[i.item_idx]), "score": i.score, "source": i.source, "reason": i.reason}
            for i in exposure.items
        ],
        feature_as_of=snapshot.as_of,
        feature_ages={view: None if age is None else round(age.total_seconds(), 1) for view, age in ages.items()},
        shadow_of=UUID(exposure.shadow_of) if exposure.shadow_of else None,
        payload=None if exposure.evidence is None else _payload(snapshot, exposure.evidence),
    )


def _payload(snapshot: Snapshot, evidence: Evidence) -> bytes:
    bundle, item_idx = snapshot.bundle, evidence.candidates.item_idx
    arrays = {
        "item_idx": item_idx,
        "item_id": bundle.item_ids[item_idx],
        "source": evidence.candidates.source,
        "inputs": evidence.inputs,
        "scores": evidence.scores,
        "keep": evidence.keep,
        "category": evidence.category,
    }
    arrays |= {} if evidence.boost is None else {"boost": evidence.boost}
    arrays |= {} if evidence.fresh is None else {"fresh": evidence.fresh}
    more = {
        "sources": list(bundle.manifest["sources"]),
        "features": list(bundle.manifest["features"]),
        "how": asdict(evidence.how),
        "now": evidence.at,
    }
    return packing.pack(arrays, more)


def _asked(query: Query) -> dict[str, Any]:
    """The fields of a query that aren't as usual, without the user."""
    given = {name: getattr(query, name) for name in USUAL}
    return {name: _json(value) for name, value in given.items() if value != USUAL[name] and value != []}


def _json(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return [_json(one) for one in value]
    return value


def _text(text: str) -> str:
    """What Postgres takes as a text: without NUL and halves of surrogate pairs."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
