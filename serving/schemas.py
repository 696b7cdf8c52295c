"""What goes in and out over HTTP."""

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TEXT: Final = r"^[^\x00]*$"
"""No NUL: Postgres stores none, and NumPy drops those at the end."""
UserId = Annotated[
    str, Field(min_length=1, max_length=256, pattern=TEXT, description="The shop's id of the user", examples=["U1"])
]
ItemId = Annotated[str, Field(min_length=1, max_length=256, pattern=TEXT)]
Category = Annotated[str, Field(max_length=256)]
K = Annotated[int, Field(ge=1, le=100, description="How many items to recommend")]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False, description="In the shop's currency")]


class FiltersIn(BaseModel):
    """Which items may be shown."""

    model_config = ConfigDict(extra="forbid")

    k: K = 10
    exclude: list[ItemId] = Field(default=[], max_length=1000, description="Items that must not be shown")
    categories: list[Category] | None = Field(
        default=None, min_length=1, max_length=100, description="Show only items of these categories; null shows all"
    )
    exclude_categories: list[Category] = Field(default=[], max_length=100, description="Show none of these")
    min_price: Price | None = None
    max_price: Price | None = None
    in_stock: bool = Field(default=True, description="true: only items in stock; false: also those sold out")

    @model_validator(mode="after")
    def _prices_in_order(self) -> Self:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("min_price is larger than max_price")
        return self


class RecommendIn(FiltersIn):
    """Whom to recommend to, how much, and which items may be shown."""

    user_id: UserId | None = Field(default=None, description="null: nobody knows who it is")
    recent_items: list[ItemId] = Field(
        default=[], max_length=500, description="What was looked at in this session, newest first"
    )
    shown: list[ItemId] = Field(
        default=[], max_length=1000, description="Items that this session has been shown already: they don't come again"
    )
    diversity: float = Field(
        default=0.0, ge=0, le=1, description="0: by score alone; 1: as unlike each other as can be (MMR)"
    )
    max_per_category: int | None = Field(default=None, ge=1, le=100, description="So many items of a category at most")
    explain: bool = Field(default=False, description="Tell what each item's score is made of")
    device: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        examples=["mobile"],
        description="Somebody of whom nothing else is known gets what is popular there",
    )

    @model_validator(mode="after")
    def _is_about_somebody(self) -> Self:
        if "user_id" not in self.model_fields_set and not self.recent_items:
            raise ValueError("give a user_id, or recent_items, or the user_id null to ask for anybody")
        return self


class BatchIn(BaseModel):
    """Several queries at once."""

    model_config = ConfigDict(extra="forbid")

    queries: list[RecommendIn] = Field(min_length=1, max_length=100)


class SimilarIn(FiltersIn):
    """How many items, and which may be shown."""


class ContributionOut(BaseModel):
    """What one input of the ranker adds to a score."""

    input: str
    words: str = Field(description="The input in plain words")
    value: float | None = Field(description="null: unknown, which the ranker can read as well")
    contribution: float


class ExplanationOut(BaseModel):
    """What a score is made of: base + contributions + others + rules."""

    base: float = Field(description="What the ranker says on average")
    contributions: list[ContributionOut] = Field(description="The inputs that add or take most, largest first (SHAP)")
    others: float = Field(description="What all other inputs add")
    rules: float = Field(description="What the shop's rules add")


class SimilarItemOut(BaseModel):
    """An item that goes with another."""

    item_id: str
    score: float = Field(description="How well it fits; comparable within one source of one answer")
    rank: int = Field(description="From 1")
    source: str = Field(description="Who says so: a source of the model, title or category")
    reason: str
    title: str
    price: float | None
    category: str | None


class SimilarOut(BaseModel):
    """Items that go with an item, best first; fewer than k where the filters leave fewer."""

    item_id: str
    model_version: str
    items: list[SimilarItemOut]


class ItemOut(SimilarItemOut):
    """A recommended item."""

    score: float = Field(description="The ranker's score, with what rules add; comparable within one answer")
    source: str = Field(description="The candidate source that ranked the item best for this user, or exploration")
    explanation: ExplanationOut | None = Field(default=None, description="Only if asked for with explain")


class RecommendOut(BaseModel):
    """A recommendation, best first: by score, unless asked otherwise; fewer than k if filters leave fewer."""

    recommendation_id: str
    user_id: str | None
    model_version: str
    feature_service: str
    strategy: Literal["personalized", "session", "popular"] = Field(
        description="session: the model doesn't know the user, but what was looked at lately; popular: nor that"
    )
    degraded: bool = Field(
        description="true: features could not be read or are older than they may be: the model ranked without them, or "
        "with what was known last"
    )
    degraded_because: list[str] | None = Field(default=None, description="What is missing or old; only if degraded")
    items: list[ItemOut]


class BatchOut(BaseModel):
    """An answer to each query, in their order."""

    recommendations: list[RecommendOut]


class UserFeaturesOut(BaseModel):
    """A user's online features as the ranker reads them now."""

    user_id: str
    feature_service: str
    as_of: datetime
    features: dict[str, float | None]


class RemovedOut(BaseModel):
    """What went of a user: events and recommendations, rows of feature tables, keys of the online store."""

    events: int
    recommendations: int
    features: int
    online: int


class ErasedOut(BaseModel):
    """A user is erased. What the lake and models made before still hold goes with the next run of the pipeline."""

    user_id: str
    erased_at: datetime
    removed: RemovedOut


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
    keys: PartOut
    rules: PartOut
    experiments: PartOut = Field(description="Does not make an answer degraded")
    log: PartOut = Field(description="Of recommendations; does not make an answer degraded")
    events: PartOut = Field(description="Whether POST /events takes any; does not make an answer degraded")


class ReadyOut(BaseModel):
    """``ready``: all parts work; ``degraded``: answers come, without what is missing; ``starting``: not yet."""

    status: Literal["ready", "degraded", "starting"]
    parts: PartsOut
