"""What goes in and out over HTTP."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UserId = Annotated[str, Field(min_length=1, max_length=256, description="The shop's id of the user", examples=["U1"])]
ItemId = Annotated[str, Field(min_length=1, max_length=256)]
K = Annotated[int, Field(ge=1, le=100, description="How many items to recommend")]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False, description="In the shop's currency")]


class RecommendIn(BaseModel):
    """Whom to recommend to, how much, and which items may be shown."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    k: K = 10
    exclude: list[ItemId] = Field(default=[], max_length=1000, description="Items that must not be shown")
    categories: list[str] | None = Field(
        default=None, min_length=1, max_length=100, description="Show only items of these categories; null shows all"
    )
    min_price: Price | None = None
    max_price: Price | None = None
    in_stock: bool = Field(default=True, description="true: only items in stock; false: also those sold out")

    @model_validator(mode="after")
    def _prices_in_order(self) -> Self:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("min_price is larger than max_price")
        return self


class ItemOut(BaseModel):
    """A recommended item."""

    item_id: str
    score: float = Field(description="The ranker's score; comparable within one answer")
    rank: int = Field(description="From 1")
    source: str = Field(description="The candidate source that ranked the item best for this user")
    reason: str
    title: str
    price: float | None
    category: str | None


class RecommendOut(BaseModel):
    """A recommendation. Items are sorted by score; fewer than k where the filters leave fewer."""

    recommendation_id: str
    user_id: str
    model_version: str
    feature_service: str
    strategy: Literal["personalized", "popular"] = Field(
        description="popular: the model doesn't know the user, items come from recent popularity"
    )
    degraded: bool = Field(
        description="true: features could not be read or refreshed, so the model ranked without or with old ones"
    )
    items: list[ItemOut]


class UserFeaturesOut(BaseModel):
    """A user's online features as the ranker reads them now."""

    user_id: str
    feature_service: str
    as_of: datetime
    features: dict[str, float | None]


class HealthOut(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class PartOut(BaseModel):
    """One part that an answer depends on."""

    ok: bool
    detail: str | None = None


class ModelOut(PartOut):
    """The model in use."""

    version: str | None = None
    cut: str | None = Field(default=None, description="The model learned from interactions before this time")


class FeaturesOut(PartOut):
    """The item features in the process."""

    feature_service: str | None = None
    as_of: datetime | None = Field(default=None, description="End of the last materialization that they come from")
    age_seconds: float | None = None


class PartsOut(BaseModel):
    """The parts."""

    model: ModelOut
    features: FeaturesOut
    redis: PartOut


class ReadyOut(BaseModel):
    """``ready``: all parts work; ``degraded``: answers come, without what is missing; ``starting``: not yet."""

    status: Literal["ready", "degraded", "starting"]
    parts: PartsOut
