"""Many commands at once to Redis: one buffer to each server, replies read by hiredis, in the commands' order."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import hiredis
import numpy as np
import pyarrow as pa
from redis import Redis, RedisCluster
from redis.connection import Connection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from feature_repo.stores.redis_wire import command

MOVED: Final = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING")
"""A cluster's answers that ask to try elsewhere or again, one command at a time."""

LARGE: Final = 1 << 18
SMALL: Final = 1 << 14
"""Bytes that are read at once; a buffer of ``LARGE`` is mapped anew for each read."""

_NOTHING: Final = object()


def exchange(client: Redis | RedisCluster, keys: pa.Array, commands: pa.Array, script: bytes = b"") -> list[Any]:
    """The replies to ``commands``, each about one of ``keys``, sent in one go to each server that holds some.

    Args:
        script: the Lua script that the commands call by its hash; the servers learn it first.

    Raises:
        redis.exceptions.RedisError: a server is gone, or refuses a command. A command may then have been carried out.
    """
    if not len(commands):
        return []
    try:
        replies = _exchange(client, keys, commands, script)
    except (RedisConnectionError, RedisTimeoutError):  # a connection that lay in the pool, or a server of the cluster
        if isinstance(client, RedisCluster):
            client.nodes_manager.initialize()
        replies = _exchange(client, keys, commands, script)
    for at, reply in enumerate(replies):
        if isinstance(reply, hiredis.ReplyError):
            replies[at] = _again(client, commands[at].as_py(), script, reply)
    return replies


class Kept:
    """Connections to one server that are kept for questions of a command or two, by any number of threads.

    The pool looks at a connection whenever it hands it out, which takes longer than such a question. One that has died
    meanwhile is noticed by the question itself, and another one is asked.
    """

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._idle: list[Connection] = []

    def ask(self, *commands: bytes) -> list[Any]:
        """The replies to ``commands``.

        Raises:
            redis.exceptions.RedisError: the server is gone, or refuses a command.
        """
        try:
            replies = self._ask(commands)
        except (RedisConnectionError, RedisTimeoutError):
            replies = self._ask(commands)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise ResponseError(str(reply)) from reply
        return replies

    def _ask(self, commands: Sequence[bytes]) -> list[Any]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.get_connection()
        try:
            connection.send_packed_command([b"".join(commands)])
            replies = _replies(connection, len(commands), SMALL)
        except BaseException:
            connection.disconnect()
            self._pool.release(connection)
            raise
        self._idle.append(connection)
        return replies


def _exchange(client: Redis | RedisCluster, keys: pa.Array, commands: pa.Array, script: bytes) -> list[Any]:
    first = [command(b"SCRIPT", b"LOAD", script)] if script else []
    replies: list[Any] = [None] * len(commands)
    with ExitStack() as opened:
        asked = [(opened.enter_context(_connected(node)), rows) for node, rows in _by_node(client, keys)]
        for connection, rows in asked:
            connection.send_packed_command([*first, _bytes(commands if rows is None else commands.take(rows))])
        for connection, rows in asked:
            answers = _replies(connection, len(first) + (len(commands) if rows is None else len(rows)))
            answers = answers[len(first) :]
            if rows is None:
                return answers
            for row, answer in zip(rows.tolist(), answers, strict=True):
                replies[row] = answer
    return replies


def _by_node(client: Redis | RedisCluster, keys: pa.Array) -> list[tuple[Redis, np.ndarray[Any, Any] | None]]:
    """Each server with the rows whose keys it holds; None for all of them."""
    if not isinstance(client, RedisCluster):
        return [(client, None)]
    nodes = [client.nodes_manager.get_node_from_slot(key_slot(key)) for key in keys.to_pylist()]
    names = np.array([node.name for node in nodes])
    found = {node.name: node for node in nodes}
    return [(client.get_redis_connection(node), np.flatnonzero(names == name)) for name, node in found.items()]


@contextmanager
def _connected(node: Redis) -> Iterator[Connection]:
    """A connection of the node's pool; closed on failure, so that replies that nobody read reach nobody else."""
    pool = node.connection_pool
    connection = pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _replies(connection: Connection, count: int, at_once: int = LARGE) -> list[Any]:
    """The next ``count`` replies; a refusal is one of them, as an error."""
    reader, stream = hiredis.Reader(notEnoughData=_NOTHING), connection._get_socket()
    assert stream is not None
    replies: list[Any] = []
    while len(replies) < count:
        try:
            read = stream.recv(at_once)
        except TimeoutError as error:
            raise RedisTimeoutError("Timeout reading from socket") from error
        except OSError as error:
            raise RedisConnectionError(f"Error while reading from socket: {error}") from error
        if not read:
            raise RedisConnectionError("Connection closed by server")
        reader.feed(read)
        replies += iter(reader.gets, _NOTHING)
    return replies


def _again(client: Redis | RedisCluster, packed: bytes, script: bytes, refusal: Exception) -> Any:
    """The reply to one command that a cluster's node refused, by way of redis-py, which follows where it is sent."""
    if not (isinstance(client, RedisCluster) and str(refusal).startswith(MOVED)):
        raise ResponseError(str(refusal)) from refusal
    reader = hiredis.Reader()
    reader.feed(packed)
    name, *arguments = reader.gets()
    if name == b"EVALSHA":  # the other node may not know the script
        name, arguments = b"EVAL", [script, *arguments[1:]]
    return client.execute_command(name.decode(), *arguments)


def _bytes(commands: pa.Array) -> memoryview:
    """The commands one behind the other."""
    _, offsets, data = commands.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(commands) + 1, commands.offset * 4)
    return memoryview(data)[bounds[0] : bounds[-1]]
