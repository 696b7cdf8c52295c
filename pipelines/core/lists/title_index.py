"""Items by the words of their titles and categories, for items of which nobody's behaviour tells anything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.models.sources.content import NOT_WORDS
from pipelines.core.models.sparse import entries


@dataclass(frozen=True)
class TitleIndex:
    """TF-IDF of each item's words, by word: what items have it, and how much of their length it is."""

    vocabulary: pa.StringArray
    rarity: np.ndarray
    """float32 [words]."""
    indptr: np.ndarray
    """int64 [words + 1]."""
    items: np.ndarray
    """int32."""
    weights: np.ndarray
    """float32; those of an item have length 1."""
    n_items: int

    @classmethod
    def of(cls, titles: Sequence[str | None], categories: Sequence[str | None]) -> "TitleIndex":
        """Index all items; each word counts once an item."""
        item, words = _words(titles, categories)
        encoded = words.dictionary_encode()
        code = encoded.indices.to_numpy()
        n_items, n_words = len(titles), len(encoded.dictionary)
        cells = np.sort(code.astype(np.int64) * n_items + item)  # np.unique takes several times as long
        cells = cells[np.append(True, cells[1:] != cells[:-1])[: len(cells)]]
        code, item = np.divmod(cells, max(n_items, 1))
        having = np.bincount(code, minlength=n_words)
        rarity = np.log((1.0 + n_items) / np.maximum(having, 1)).astype(np.float32)
        length = np.sqrt(np.bincount(item, rarity[code] ** 2, n_items))
        weights = rarity[code] / np.maximum(length, np.finfo(np.float32).tiny)[item]
        indptr = np.append(0, np.cumsum(having))
        return cls(encoded.dictionary, rarity, indptr, item.astype(np.int32), weights.astype(np.float32), n_items)

    def alike(self, title: str | None, category: str | None) -> np.ndarray:
        """float32 [items]: the cosine of each item with one that is called and sorted so; 0 where no word is shared."""
        _, words = _words([title], [category])
        place = pc.index_in(words.unique(), value_set=self.vocabulary)
        code = place.drop_null().to_numpy().astype(np.int64)
        owner, at = entries(self.indptr, code)
        length = np.sqrt(np.sum(self.rarity[code] ** 2)) or 1.0
        weights = self.rarity[code][owner] * self.weights[at] / length
        return np.bincount(self.items[at], weights, self.n_items).astype(np.float32)


def _words(titles: Sequence[str | None], categories: Sequence[str | None]) -> tuple[np.ndarray, pa.StringArray]:
    """(item [n], word [n]): the words of the titles; a category is a word of its own, which no title has."""
    split = pc.split_pattern_regex(pc.utf8_lower(pa.array(titles, pa.string())), NOT_WORDS)
    words, item = pc.list_flatten(split), pc.list_parent_indices(split).to_numpy()
    real = pc.not_equal(words, "")
    categorised = [n for n, name in enumerate(categories) if name is not None]
    beside = pa.array([f"category {categories[n]}" for n in categorised], pa.string())
    every = pa.concat_arrays([words.filter(real), beside])
    return np.concatenate([item[real.to_numpy(zero_copy_only=False)], np.array(categorised, np.int64)]), every
