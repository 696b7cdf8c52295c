"""An HTTP server that behaves as badly as it is told to."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, str]
    headers: Message

    def number(self, name: str) -> int:
        return int(self.query[name])


@dataclass(frozen=True)
class Reply:
    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False  # says nothing
    drip: bool = False  # a byte now and then
    cut: bool = False  # ends after half the body
    reset: bool = False  # the same, and the connection is reset


class ShopApi:
    """A running server; ``asked`` holds every request. ``reply`` gives each its answer and may be replaced."""

    def __init__(self, reply: Callable[[Asked], Reply]) -> None:
        self.reply = reply
        self.asked: list[Asked] = []
        self._stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/products"

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def queries(self) -> list[dict[str, str]]:
        return [asked.query for asked in self.asked]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(parts.path, dict(parse_qsl(parts.query)), self.headers)
                api.asked.append(asked)
                reply = api.reply(asked)
                if reply.hang:
                    api._stopped.wait(5)
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for start in range(0, len(body) if reply.drip else 0):
                    self.wfile.write(body[start : start + 1])
                    if api._stopped.wait(0.05):
                        return
                self.wfile.write(b"" if reply.drip else body[: len(body) // 2] if reply.cut or reply.reset else body)
                if reply.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    """One reply after another, the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def by_skip(products: list[Any], **extra: Any) -> Callable[[Asked], Reply]:
    """A well-behaved list; an object with ``extra`` where there is any."""

    def reply(asked: Asked) -> Reply:
        start = asked.number("skip")
        page = products[start : start + asked.number("limit")]
        return Reply({"products": page, **extra} if extra else page)

    return reply
