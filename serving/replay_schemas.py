"""What GET /recommendations/{id} answers."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class CandidateOut(BaseModel):
    """An item that was considered."""

    item_id: str
    source: str
    score: float | None = Field(description="The ranker's")
    kept: bool = Field(description="false: a filter left it out")
    features: dict[str, float | None] = Field(description="What the ranker read of it; null where nothing was known")


class LoggedItemOut(BaseModel):
    """An item that was shown."""

    item_id: str
    rank: int
    score: float
    source: str
    reason: str
    features: dict[str, float | None] | None = Field(description="What the ranker read of it; null once it isn't kept")


class RecomputedItemOut(BaseModel):
    """An item of the list that was computed again."""

    item_id: str
    rank: int
    score: float


class RecomputedOut(BaseModel):
    """The list computed again from the logged inputs, by the model that made it."""

    identical: bool = Field(description="Whether items, order and scores are those that were shown")
    items: list[RecomputedItemOut]


class LoggedOut(BaseModel):
    """A recommendation as it was given."""

    recommendation_id: str
    at: datetime
    user_id: str | None
    model_version: str
    feature_service: str
    experiment: str | None
    arm: str | None
    propensity: float = Field(description="The probability with which the user got this arm")
    shadow_of: str | None = Field(description="Nobody saw this: it was only computed beside that recommendation")
    strategy: str
    degraded: bool
    degraded_because: list[str]
    query: dict[str, Any] = Field(description="What was asked for, where it differs from what is usual")
    feature_as_of: datetime | None
    feature_ages: dict[str, float | None] = Field(description="Feature view → seconds")
    items: list[LoggedItemOut]
    candidate_count: int | None
    candidates: list[CandidateOut] | None = Field(description="All that were considered, if asked for and still kept")
    recomputed: RecomputedOut | None
    not_recomputed_because: str | None
