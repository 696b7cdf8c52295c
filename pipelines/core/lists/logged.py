"""A recommendation as it is logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Logged:
    """A recommendation as it is kept."""

    id: UUID
    at: datetime
    user_id: str | None
    model_version: int
    feature_service: str
    experiment: str | None
    arm: str | None
    propensity: float
    strategy: str
    degraded: Sequence[str]
    """What was missing or old; empty where nothing was."""
    query: Mapping[str, Any]
    """What was asked for, but for the user: the fields of ``Query`` that aren't as usual."""
    items: Sequence[Mapping[str, Any]]
    """What was shown, best first: item_id, score, source, reason."""
    feature_as_of: datetime | None
    feature_ages: Mapping[str, float | None]
    """Feature view -> seconds."""
    shadow_of: UUID | None
    """Where this was only computed beside the answer with that id: nobody has seen it."""
    payload: bytes | None = None
    """What it was decided by (``core/lists/packing.py``); None where that isn't kept."""


@dataclass(frozen=True)
class Bounds:
    """What is kept: of recommendations those of ``days`` days and ``rows`` at most, of payloads ``payloads``."""

    days: int
    rows: int
    payloads: int
