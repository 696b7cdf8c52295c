"""Bulk reads from Redis: features of many entities and views in one round trip, as NumPy columns by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from typing import Any

import numpy as np
import pyarrow as pa
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig
from redis import Redis, RedisCluster

from feature_repo.stores.redis_decode import NUMERIC, numbers, objects, timestamps
from feature_repo.stores.redis_pipe import exchange
from feature_repo.stores.redis_wire import bulk, bulks, feature_field, joined, redis_keys, stamp_field

Column = np.ndarray[Any, Any]
Held = tuple[bytes | None, ...]
"""What Redis holds in one hash field, for each of the entities that were asked for."""


@dataclass(frozen=True)
class Read:
    """What is asked of one view: join key -> values, all of one length n, and the names of its features."""

    view: FeatureView
    keys: Mapping[str, Sequence[Any] | Column]
    features: Sequence[str]


@dataclass(frozen=True)
class Columns:
    """What one view answers for n entities.

    ``values`` holds an array [n] for each feature. Numbers, bools and times (seconds since 1970) are float64, NaN where
    the value is missing or null. Texts (str), bytes and arrays (list) are object arrays, None where missing or null.
    ``event_timestamp`` [n] is datetime64[us], UTC, NaT where the view has no row of the entity.
    """

    values: dict[str, Column]
    event_timestamp: Column


@dataclass
class _Group:
    """Reads that ask for the same entities, and the hash fields that they need: one HMGET an entity."""

    keys: pa.Array  # each entity once
    places: Column  # row -> place in ``keys``
    fields: dict[bytes, int] = field(default_factory=dict)
    columns: list[Held] = field(default_factory=list)  # in the order of ``fields``
    asked: list[Any] = field(default_factory=list)  # kept, for they are told apart by their identity

    def commands(self) -> pa.Array:
        head = b"*%d\r\n" % (2 + len(self.fields)) + bulk(b"HMGET")
        return joined(head, bulks(self.keys), b"".join(map(bulk, self.fields)))

    def held(self, name: bytes) -> Held:
        return self.columns[self.fields[name]]


def read_columns(client: Redis | RedisCluster, config: RepoConfig, reads: Sequence[Read]) -> list[Columns]:
    """The answers in the order of ``reads``, in one round trip to each server that holds some of the entities.

    Raises:
        ValueError: a read names a feature that its view doesn't have, or keys that aren't those of the view.
    """
    groups: dict[Any, _Group] = {}
    grouped = [_group(groups, config, read) for read in reads]
    fields = [[feature_field(config, read.view, name) for name in read.features] for read in reads]
    numeric = list(map(_are_numbers, reads))
    for read, group, names in zip(reads, grouped, fields, strict=True):
        for name in (*names, stamp_field(config, read.view)):
            group.fields.setdefault(name, len(group.fields))
    if groups:
        _ask(client, list({id(group): group for group in grouped}.values()))
    decoded = iter(_decoded(grouped, fields, numeric))
    return [
        Columns(
            {
                name: (next(decoded) if number else objects(group.held(at)))[group.places]
                for name, at, number in zip(read.features, names, are_numbers, strict=True)
            },
            timestamps(group.held(stamp_field(config, read.view)))[group.places],
        )
        for read, group, names, are_numbers in zip(reads, grouped, fields, numeric, strict=True)
    ]


def _group(groups: dict[Any, _Group], config: RepoConfig, read: Read) -> _Group:
    """The group of the entities that ``read`` asks for; the same one for the same keys."""
    names = sorted(read.view.join_keys)
    if missing := [name for name in names if name not in read.keys]:
        raise ValueError(f"{read.view.name}: the read has no values for the keys {missing}")
    if unknown := set(read.features) - {feature.name for feature in read.view.features}:
        raise ValueError(f"{read.view.name}: has no features {sorted(unknown)}")
    columns = {name: read.keys[name] for name in names}
    asked = tuple((name, id(column)) for name, column in columns.items())
    if asked not in groups:
        keys = redis_keys(config, read.view, {name: pa.array(column) for name, column in columns.items()})
        once = keys.dictionary_encode()
        group = _Group(once.dictionary, once.indices.to_numpy())
        groups[asked] = groups.setdefault(tuple(map(bytes, keys.buffers()[1:])), group)
        groups[asked].asked.append(columns)
    return groups[asked]


def _ask(client: Redis | RedisCluster, groups: Sequence[_Group]) -> None:
    """Fill each group with what Redis holds."""
    keys = pa.concat_arrays([group.keys for group in groups])
    replies = iter(exchange(client, keys, pa.concat_arrays([group.commands() for group in groups])))
    for group in groups:
        group.columns = list(zip(*islice(replies, len(group.keys)), strict=True)) or [()] * len(group.fields)


def _are_numbers(read: Read) -> list[bool]:
    """Whether each of the features is a number."""
    types = {feature.name: feature.dtype for feature in read.view.features}
    return [types[name].to_value_type() in NUMERIC for name in read.features]


def _decoded(
    groups: Sequence[_Group], fields: Sequence[Sequence[bytes]], numeric: Sequence[Sequence[bool]]
) -> list[Column]:
    """The columns of all numeric features in the order of the reads, decoded at once."""
    held = [
        group.held(at)
        for group, names, are_numbers in zip(groups, fields, numeric, strict=True)
        for at in compress(names, are_numbers)
    ]
    decoded = numbers(list(chain.from_iterable(held)))
    return np.split(decoded, np.cumsum([len(column) for column in held])[:-1]) if held else []
