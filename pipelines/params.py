"""Hyperparameters: the typed form of ``params.yaml``. Values live there, meaning and types here; no defaults."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.columns import EVENT_TYPES
from pipelines.core.errors import ConfigError
from pipelines.core.models.ranker_inputs import SERVICES


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bots(_Frozen):
    """A user browses like a program on a day (UTC) with more than ``a_day`` views and clicks, more than ``a_minute``
    in one minute, or some in at least ``hours`` of its hours.
    """

    a_day: int = Field(ge=1)
    a_minute: int = Field(ge=1)
    hours: int = Field(ge=1, le=24)


class Outliers(_Frozen):
    """A quantity is an outlier ``quantity_iqr`` interquartile ranges (of logarithms) above the third quartile.

    A price is one where it is off the item's median by more than a factor of ``price_factor``.
    """

    quantity_iqr: float = Field(gt=0)
    price_factor: float = Field(gt=1)


class Prepare(_Frozen):
    """Preparation. A session ends after ``session_gap_minutes`` without an event of its user.

    Views and clicks that differ in nothing but their event id within ``repeat_seconds`` (a divisor of 60) are one; 0
    keeps them all.
    """

    session_gap_minutes: int = Field(gt=0)
    repeat_seconds: Literal[0, 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]
    bots: Bots
    outliers: Outliers


class Live(_Frozen):
    """Live events. Postgres keeps each for ``keep_days`` at least: so long sending it again changes nothing, and its
    user's session can be brought online again.
    """

    keep_days: int = Field(ge=31)


class Split(_Frozen):
    """The temporal split: label windows of ``window_days``, the newest for evaluation, those before for training.

    A training cut has at most ``max_users`` users, each with at most ``negatives`` candidates that came to nothing.
    """

    window_days: int = Field(gt=0)
    training_cuts: int = Field(ge=1)
    max_users: int = Field(ge=1)
    negatives: int = Field(ge=1)


class Svd(_Frozen):
    """Truncated SVD of the weighted ``user_items`` matrix, fitted to what users did lately: halved every
    ``half_life_days``. ``ridge`` is relative to the largest squared singular value.

    Rows are divided by their length to the power of ``user_scale``, columns by theirs to ``item_scale`` (0: not).
    """

    factors: int = Field(ge=1)
    ridge: float = Field(ge=0)
    half_life_days: float = Field(gt=0)
    user_scale: float = Field(ge=0, le=1)
    item_scale: float = Field(ge=0, le=1)


class Covisitation(_Frozen):
    """Items that follow each other within ``window`` events of a user."""

    window: int = Field(ge=1)
    half_life_days: float = Field(gt=0)
    neighbours: int = Field(ge=1)


class ItemItem(_Frozen):
    """Ridge regression of each item on its ``neighbours`` most alike, fitted to what users did lately.

    ``ridge`` is relative to the largest squared singular value.
    """

    neighbours: int = Field(ge=1)
    ridge: float = Field(gt=0)
    half_life_days: float = Field(gt=0)


class Als(_Frozen):
    """Implicit alternating least squares: ``unobserved`` is the weight of what users didn't do."""

    factors: int = Field(ge=1)
    unobserved: float = Field(gt=0)
    ridge: float = Field(gt=0)
    iterations: int = Field(ge=1)
    half_life_days: float = Field(gt=0)


class Popularity(_Frozen):
    """Recent popularity."""

    half_life_days: float = Field(gt=0)


class CategoryPopularity(_Frozen):
    """Recent popularity in the categories of a user, whose own interest halves every ``taste_half_life_days``."""

    half_life_days: float = Field(gt=0)
    taste_half_life_days: float = Field(gt=0)


class Content(_Frozen):
    """Items that at most ``max_users`` users have met, by what the catalogue says of them."""

    max_users: int = Field(ge=0)
    half_life_days: float = Field(gt=0)


class Again(_Frozen):
    """What a user has had, halved with age; only where things repeat."""

    half_life_days: float = Field(gt=0)


class Candidates(_Frozen):
    """Candidate sources; each proposes at most ``per_source`` items for a user. All but popularity may be left out.

    ``repeat``: whether what a user has had may come again (groceries), or is left out (gifts).
    """

    per_source: int = Field(ge=1)
    repeat: bool
    svd: Svd | None = None
    svd_taste: Svd | None = None
    item_item: ItemItem | None = None
    als: Als | None = None
    covisitation: Covisitation | None = None
    popularity: Popularity
    popularity_always: Popularity | None = None
    category_popularity: CategoryPopularity | None = None
    content: Content | None = None
    again: Again | None = None


def _readable(service: str) -> str:
    if service not in SERVICES:
        raise ValueError(f"is {service}, the ranker reads {' or '.join(SERVICES)}")
    return service


class Ranker(_Frozen):
    """Gradient-boosted trees with the LambdaMART objective, on the features of ``feature_service``."""

    feature_service: Annotated[str, AfterValidator(_readable)]
    trees: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_depth: int = Field(ge=1)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample: float = Field(gt=0, le=1)


class Evaluation(_Frozen):
    """Offline evaluation at each cut-off of ``k`` over at most ``max_users`` users.

    ``ablation``: train rankers on ever more of the inputs to show what each group of them adds.
    """

    k: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    max_users: int = Field(ge=1)
    ablation: bool


class Params(_Frozen):
    """All hyperparameters."""

    seed: int
    live: Live
    prepare: Prepare
    split: Split
    event_weights: dict[str, float]
    candidates: Candidates
    ranker: Ranker
    evaluation: Evaluation

    @classmethod
    def load(cls, path: Path) -> "Params":
        """Read ``params.yaml``.

        Raises:
            ConfigError: the file is missing or a value has the wrong type or range; the text names it.
        """
        try:
            params = cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ConfigError(f"{path} is missing") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if set(params.event_weights) != set(EVENT_TYPES):
            raise ConfigError(f"{path}: event_weights must name exactly {', '.join(EVENT_TYPES)}")
        return params
