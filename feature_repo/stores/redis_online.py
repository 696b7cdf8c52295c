"""An online store on Redis that takes Arrow tables, reads in bulk and forgets entities that are gone.

The wire format is Feast's, byte for byte: stock Feast reads what this writes, and the other way round. What differs:

- A row is written by a script that looks at the stored timestamp in the same step: one of the same moment arrives (it
  is a correction), an older one never overwrites a newer one, whoever else writes. Feast drops corrections, and looks
  before it writes. This holds for bulk writes, ``push`` and ``write_to_online_store``; ``skip_dedup`` switches it off.
- Bulk writes and reads go through Arrow and NumPy, without a Python object for each value.
- ``redis_type``, ``key_ttl_seconds`` and the connection string (``ssl=true``) mean what they mean to Feast.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import chain, islice
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import FeatureView
from feast.infra.online_stores.redis import RedisClient, RedisOnlineStore, RedisOnlineStoreConfig
from feast.repo_config import RepoConfig
from redis import RedisCluster
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from feature_repo.stores import redis_read, sessions
from feature_repo.stores.redis_pipe import Kept, exchange
from feature_repo.stores.redis_read import Columns, Read
from feature_repo.stores.redis_user import UserReader, UserRow
from feature_repo.stores.redis_wire import command, is_key_of, key_prefix, redis_keys
from feature_repo.stores.redis_write import DROP, WRITE, Row, arrow_rows, drops, proto_rows
from feature_repo.stores.sessions import Event

ROWS_AT_ONCE: Final = 10_000
PATIENCE: Final = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.2), 3)  # redis-py's own would take ten seconds


class ArrowRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's Redis settings under this store's type."""

    type: Literal["feature_repo.stores.redis_online.ArrowRedisOnlineStore"] = (
        "feature_repo.stores.redis_online.ArrowRedisOnlineStore"
    )


class ArrowRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis online store with bulk writes from Arrow, bulk reads into NumPy, and newer rows that stay."""

    _kept: Kept | None = None

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        """Feast's client, but it tells within a second that Redis is gone: requests wait for that."""
        connected = self._client is not None
        client = super()._get_client(online_store_config)
        if not connected:
            client.set_retry(PATIENCE)
        return client

    def write_arrow(self, config: RepoConfig, view: FeatureView, rows: pa.Table) -> None:
        """Write rows (join keys, timestamp, features under the view's names).

        Of rows with equal keys the newest stays, of equally new ones the last. A failure leaves the rows before it
        written; writing all of them again is safe.

        Raises:
            ValueError: a column is missing or isn't of its declared type, or a row has no key or timestamp.
            redis.exceptions.RedisError: Redis is gone or refuses.
        """
        self.write_batches(config, view, rows.combine_chunks().to_batches())

    def write_batches(self, config: RepoConfig, view: FeatureView, batches: Iterable[pa.RecordBatch]) -> None:
        """As ``write_arrow``, holding few batches at a time: while Redis takes one, the next is encoded."""
        client = self._get_client(config.online_store)
        with ThreadPoolExecutor(1) as sender:
            encoded: tuple[pa.Array, pa.Array] | None = None
            sent: Future[Any] | None = None
            for batch in chain.from_iterable(map(_slices, batches)):
                if sent:
                    sent.result()
                if encoded:
                    sent = sender.submit(exchange, client, *encoded, WRITE)
                encoded = arrow_rows(config, view, batch)
            if sent:
                sent.result()
            if encoded:
                exchange(client, *encoded, WRITE)

    def write_views(self, config: RepoConfig, views: Sequence[tuple[FeatureView, pa.Table]]) -> None:
        """As ``write_arrow``, the rows of several views in one round trip: for as many as fit into memory."""
        encoded = [arrow_rows(config, view, b) for view, rows in views for b in rows.combine_chunks().to_batches()]
        if encoded:
            keys, commands = (pa.concat_arrays(parts) for parts in zip(*encoded, strict=True))
            exchange(self._get_client(config.online_store), keys, commands, WRITE)

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Write Feast's rows as ``write_arrow`` does."""
        keys, commands = proto_rows(config, table, data)
        exchange(self._get_client(config.online_store), keys, commands, WRITE)
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """As ``online_write_batch``, beside the event loop."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def read_columns(self, config: RepoConfig, reads: Sequence[Read]) -> list[Columns]:
        """Newest values of many entities of several views, in one round trip; the answers in the order of ``reads``.

        Raises:
            ValueError: a read names a feature that its view doesn't have, or lacks one of its keys.
            redis.exceptions.RedisError: Redis is gone or refuses.
        """
        return redis_read.read_columns(self._get_client(config.online_store), config, reads)

    def user_reader(self, config: RepoConfig, reads: Sequence[tuple[FeatureView, Sequence[str]]]) -> UserReader:
        """What ``read_user`` reads: views of one and the same join key, with the names of their features."""
        return UserReader(config, reads)

    def read_user(self, config: RepoConfig, reader: UserReader, user_id: str) -> UserRow:
        """The rows of one user and the user's session, in one round trip.

        Raises:
            redis.exceptions.RedisError: Redis is gone or refuses.
        """
        if self._kept is None:
            client = self._get_client(config.online_store)
            if isinstance(client, RedisCluster):
                return reader.read(client, user_id)
            self._kept = Kept(client)
        return reader.read(self._kept, user_id)

    def write_sessions(self, config: RepoConfig, events: Mapping[str, Sequence[Event]]) -> None:
        """Add events of users to their sessions, all in one round trip; doing it again changes nothing.

        Raises:
            redis.exceptions.RedisError: Redis is gone or refuses; some of the events may be in.
        """
        packed = {user_id: [sessions.pack(*event) for event in of_user] for user_id, of_user in events.items()}
        sessions.write(self._get_client(config.online_store), config.project, packed)

    def forget(
        self, config: RepoConfig, user_id: str, entities: Sequence[tuple[FeatureView, Mapping[str, pa.Array]]]
    ) -> int:
        """Delete a user's session, and entities with all that any view says of them; return how many keys went.

        Args:
            entities: join keys, each with a view that has them.

        Raises:
            redis.exceptions.RedisError: Redis is gone or refuses; some may be gone, doing it again is safe.
        """
        keys = pa.chunked_array([redis_keys(config, view, columns) for view, columns in entities], pa.binary())
        keys = pa.concat_arrays([pa.array([sessions.key(config.project, user_id)], pa.binary()), *keys.chunks])
        commands = pa.array([command(b"UNLINK", key) for key in keys.to_pylist()], pa.binary())
        return sum(exchange(self._get_client(config.online_store), keys, commands))

    def drop_sessions(self, config: RepoConfig) -> None:
        """Delete the sessions of all users."""
        client = self._get_client(config.online_store)
        pattern = re.sub(rb"([*?\[\]\\^])", rb"\\\1", sessions.key(config.project, "")) + b"*"
        found = client.scan_iter(pattern, count=ROWS_AT_ONCE)
        while some := list(islice(found, ROWS_AT_ONCE)):
            client.unlink(*some)

    def _read_hash_fields(
        self, config: RepoConfig, commands: list[tuple[bytes, list[str | bytes]]]
    ) -> list[list[bytes | None]]:
        """What ``online_read`` and ``get_online_features`` ask for: a reply for each key and its fields."""
        if config.online_store.client == RedisClient.glide:
            return super()._read_hash_fields(config, commands)
        keys = pa.array([key for key, _ in commands], pa.binary())
        packed = [
            command(b"HMGET", key, *(f if isinstance(f, bytes) else f.encode() for f in fields))
            for key, fields in commands
        ]
        return exchange(self._get_client(config.online_store), keys, pa.array(packed, pa.binary()))

    def retain(self, config: RepoConfig, view: FeatureView, entities: pa.Table, until: datetime | None = None) -> int:
        """Delete the view's values of every entity that isn't in ``entities`` (join keys); return how many went.

        Args:
            until: a row that is newer stays (it was pushed since). Without it every row goes.
        """
        client = self._get_client(config.online_store)
        wanted = pa.chunked_array(
            [redis_keys(config, view, part) for part in _columns(entities, view.join_keys)], pa.binary()
        )
        deleted = 0
        for found in self._stored(config, view):
            gone = found.filter(pc.invert(pc.is_in(found, value_set=wanted)))
            deleted += sum(exchange(client, gone, drops(config, view, gone, until), DROP))
        return deleted

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """Delete the view's values of every entity, in this project only."""
        self.retain(config, table, pa.table({name: pa.array([], pa.string()) for name in table.join_keys}))

    def _stored(self, config: RepoConfig, view: FeatureView) -> Iterator[pa.Array]:
        """The Redis keys of all entities of the view's kind, some at a time; one may come twice."""
        prefix, project, n = key_prefix(config, sorted(view.join_keys)), config.project.encode(), len(view.join_keys)
        pattern = re.sub(rb"([*?\[\]\\^])", rb"\\\1", prefix) + b"*"
        scanned = self._get_client(config.online_store).scan_iter(pattern, count=ROWS_AT_ONCE)
        while some := list(islice(scanned, ROWS_AT_ONCE)):
            yield pa.array((key for key in some if is_key_of(key, prefix, n, project)), pa.binary())


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, ROWS_AT_ONCE):
        yield batch.slice(start, ROWS_AT_ONCE)


def _columns(table: pa.Table, names: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    """The columns ``names`` of each of the table's batches."""
    return ({name: batch[name] for name in names} for batch in table.to_batches())
