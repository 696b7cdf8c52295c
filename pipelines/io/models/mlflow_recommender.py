"""What MLflow's users get of a bundle: recommendations for a frame of users, by the one scoring path.

Features come from the online store that the environment or the checkout names. Where that can't be read, a warning
says so and the model ranks with all of them absent, as the service does when Redis is gone.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.core.lists.cards import Cards
from pipelines.core.models import ranker_inputs, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from pipelines.io.models import bundles
from pipelines.io.models.shop_rules import FIRST_SEEN
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.io.features.online_features import OnlineFeatures

DEFAULT_K: Final = 10


class Recommender:
    """Answers a frame of users by the one scoring path."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """``settings`` name the online store."""
        self._bundle, self._settings = bundle, settings

    @cached_property
    def known(self) -> "Known":
        """What the store knew when the first answer was asked for."""
        return Known.read(self._bundle, self._settings)

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """user_id, item_id, rank (from 1), score for each row's ``user_id``: its best ``k``, 10 where there is no k.

        A user whom the model doesn't know gets what is popular; rows of the input keep their order.
        """
        users = model_input["user_id"].astype(str).tolist()
        wanted = model_input["k"].fillna(DEFAULT_K).astype(int).tolist() if "k" in model_input else None
        wanted = wanted or [DEFAULT_K] * len(users)
        parts = [self._batch(users[part], wanted[part]) for part in scoring.batches(len(users))]
        columns = ("user_id", "item_id", "rank", "score")
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def _batch(self, users: Sequence[str], wanted: Sequence[int]) -> pd.DataFrame:
        bundle = self._bundle
        history = bundle.histories.take(np.array([bundle.user_idx(user) for user in users], np.int32))
        proposed = scoring.candidates(bundle, history, int(bundle.manifest["params"]["candidates"]["per_source"]))
        features = self.known.features(users, proposed)
        scores = scoring.rank(bundle, proposed, features, self.known.now, self.known.ranked)
        best = scoring.top_k(proposed, scores, max(wanted))
        kept = best.rank < np.asarray(wanted)[best.user_pos]
        return pd.DataFrame(
            {
                "user_id": np.asarray(users, object)[best.user_pos[kept]],
                "item_id": bundle.item_ids[best.item_idx[kept]].astype(object),
                "rank": best.rank[kept].astype(np.int64) + 1,
                "score": best.scores[kept].astype(np.float64),
            }
        )


class Known:
    """What the online store knows, and as of when; or nothing, as of the bundle's cut."""

    def __init__(self, bundle: Bundle, online: "OnlineFeatures | None") -> None:
        self.bundle, self._online = bundle, online
        items: Mapping[str, np.ndarray] = {}
        self.cards = Cards.unknown(bundle)
        self.now = datetime.fromisoformat(bundle.manifest["cut"]).timestamp()
        if online is not None:
            item_ids = bundle.item_ids.tolist()
            self.now = online.as_of.timestamp()
            items = online.items(item_ids)
            self.cards = Cards.of(bundle, online.cards(item_ids))
        self.ranked = scoring.of_items(bundle, items, self.now)
        """What the ranker reads of the items alone."""
        self.items = {name: items[name] for name in (*self.ranked.mixed, FIRST_SEEN) if name in items}
        """Item feature → float64 [items]: those that a user's ranking or a rule asks for."""
        self._categories = np.array([name or ranker_inputs.NO_CATEGORY for name in self.cards.category], object)

    @classmethod
    def read(cls, bundle: Bundle, settings: Settings) -> "Known":
        """From the store that ``settings`` name."""
        from feast.errors import FeastError
        from sqlalchemy.exc import SQLAlchemyError

        from pipelines.io.features import feast_store
        from pipelines.io.features.online_features import OnlineFeatures

        try:
            store = feast_store.open_store(settings)
            return cls(bundle, OnlineFeatures(store, bundle.manifest["feature_service"]))
        except (ConfigError, ServiceError, FeastError, SQLAlchemyError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(f"no features ({reason}): the ranking goes without them and is worse for it", stacklevel=2)
            return cls(bundle, None)

    def features(self, users: Sequence[str], proposed: Candidates) -> dict[str, float | np.ndarray]:
        """Full feature name -> a value for each candidate, but those in ``ranked``; NaN where nothing is known."""
        required = ranker_inputs.reads(self.bundle.manifest["feature_service"]).required
        found: dict[str, float | np.ndarray] = dict.fromkeys(required, np.nan)
        if self._online is None:
            return found
        found |= {name: self.items[name][proposed.item_idx] for name in self.ranked.mixed}
        if not self._knows_pairs:
            return found | {name: values[proposed.user_pos] for name, values in self._online.users(users).items()}
        parts = list(self._of_pairs(self._online, users, proposed))
        return found | {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}

    @property
    def _knows_pairs(self) -> bool:
        """Whether the store may know something of a user with a candidate, which is new to the user as of the cut."""
        cut = datetime.fromisoformat(self.bundle.manifest["cut"]).timestamp()
        service = self.bundle.manifest["feature_service"]
        return self.bundle.repeats or self.now > cut or ranker_inputs.reads_categories(service)

    def _of_pairs(
        self, online: "OnlineFeatures", users: Sequence[str], proposed: Candidates
    ) -> Iterator[dict[str, np.ndarray]]:
        """What depends on the user, in the order of the candidates: they are sorted by user."""
        bounds = np.searchsorted(proposed.user_pos, np.arange(len(users) + 1))
        for user, start, end in zip(users, bounds, bounds[1:], strict=False):
            item_idx = proposed.item_idx[start:end]
            categories, place = np.unique(self._categories[item_idx].astype(str), return_inverse=True)
            read = online.request(user, self.bundle.item_ids[item_idx].tolist(), categories.tolist())
            alone = {name: np.full(len(item_idx), value) for name, value in read.user.items()}
            yield {**alone, **read.items, **{name: values[place] for name, values in read.categories.items()}}


def _load_pyfunc(path: str) -> Recommender:
    """What MLflow calls with the folder of the bundle.

    The online store is the one that the environment names, else that of this checkout.

    Raises:
        ModelError: the bundle is damaged, or of another format.
    """
    return Recommender(bundles.load(Path(path)), Settings.load(Path(__file__).resolve().parents[3], os.environ))
