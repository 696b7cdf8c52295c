"""Boosted trees of XGBoost as arrays: a few hundred rows are scored in a fraction of the time, and without XGBoost.

The sum of a row's leaves is XGBoost's own, in the same order and precision.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.models.kernels import ranking as kernels

if TYPE_CHECKING:
    import xgboost as xgb


@dataclass(frozen=True)
class Forest:
    """Trees one behind the other; of two siblings the right one follows the left one.

    What the trees look at are *looks*: a column of the inputs with one way for NaN to go, which is to be -inf or inf.
    The last look is always 0. A node's row goes right where its look is at least the threshold; a leaf looks at the
    last one, has inf as threshold, and leads to itself.
    """

    model: bytes
    """XGBoost's own JSON."""
    columns: np.ndarray
    """uint32 [looks - 1], of the inputs."""
    in_place_of_nan: np.ndarray
    """float32 [looks - 1]."""
    root: np.ndarray
    """uint32 [trees], where each begins."""
    depth: np.ndarray
    """int64 [trees], steps to the deepest leaf."""
    look: np.ndarray
    """uint32 [nodes]."""
    threshold: np.ndarray
    """float32 [nodes]."""
    left: np.ndarray
    """uint32 [nodes], the node on the left."""
    value: np.ndarray
    """float32 [nodes], what a leaf adds."""

    @classmethod
    def of(cls, model: bytes) -> "Forest":
        """From what XGBoost saves as JSON: a booster of regression trees with numerical splits."""
        trees = [_Tree.of(tree) for tree in json.loads(model)["learner"]["gradient_booster"]["model"]["trees"]]
        root = np.cumsum([0, *(len(tree.left) for tree in trees)])
        split, column, nan_left = (
            np.concatenate([np.zeros(0, int), *(getattr(tree, name) for tree in trees)])
            for name in ("split", "column", "nan_left")
        )
        looks, place = np.unique(2 * column[split > 0] + nan_left[split > 0], return_inverse=True)
        look = np.full(len(split), len(looks), np.uint32)
        look[split > 0] = place
        number = np.concatenate([np.zeros(0), *(tree.number for tree in trees)]).astype(np.float32)
        left = [start + tree.left for start, tree in zip(root, trees, strict=False)]
        return cls(
            model,
            (looks // 2).astype(np.uint32),
            np.where(looks % 2, -np.inf, np.inf).astype(np.float32),
            root[:-1].astype(np.uint32),
            np.array([tree.depth for tree in trees], np.int64),
            look,
            np.where(split > 0, number, np.float32(np.inf)),
            np.concatenate([np.zeros(0), *left]).astype(np.uint32),
            np.where(split > 0, np.float32(0.0), number),
        )

    @property
    def count(self) -> int:
        """Trees."""
        return len(self.root)

    def scores(self, inputs: np.ndarray, start: np.ndarray, trees: int = 0) -> np.ndarray:
        """float32 [n]: ``start`` [n] and what the first ``trees`` trees (0: all) add; ``inputs`` float32 [n, F]."""
        looks, nodes = (self.columns, self.in_place_of_nan), (self.look, self.threshold, self.left, self.value)
        rows = np.ascontiguousarray(inputs)
        return kernels.boosted(rows, start, *looks, self.root, self.depth, *nodes, trees or self.count)

    @cached_property
    def booster(self) -> "xgb.Booster":
        """What XGBoost makes of it, for what isn't asked of each request."""
        import xgboost as xgb  # takes a second and 100 MB

        booster = xgb.Booster({"nthread": 1})
        booster.load_model(bytearray(self.model))
        return booster


@dataclass(frozen=True)
class _Tree:
    """One tree level by level, each array by node."""

    split: np.ndarray
    """1 where it splits, 0 in a leaf."""
    column: np.ndarray
    nan_left: np.ndarray
    number: np.ndarray
    """The threshold, or what a leaf adds."""
    left: np.ndarray
    """From the root on; a leaf itself."""
    depth: int

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> "_Tree":
        """From XGBoost's JSON, where the nodes come in any order."""
        children = tree["left_children"], tree["right_children"]
        order, left, depth = [0], [], [0]
        for place, node in enumerate(order):  # grows as it goes
            leaf = children[0][node] < 0
            left.append(place if leaf else len(order))
            if not leaf:
                order += [side[node] for side in children]
                depth += 2 * [depth[place] + 1]
        column, number, nan_left = (
            np.array(tree[name], float)[order] for name in ("split_indices", "split_conditions", "default_left")
        )
        split = np.array(left) > np.arange(len(order))
        return cls(split.astype(int), column.astype(int), nan_left.astype(int), number, np.array(left), max(depth))
