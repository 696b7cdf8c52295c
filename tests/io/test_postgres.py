"""Connections to a real Postgres."""

import os
import socket

import pytest

from pipelines.io import postgres
from pipelines.settings import Settings

pytestmark = pytest.mark.services


def test_connection_notices_that_the_server_is_lost(settings: Settings) -> None:
    tcp = socket.IPPROTO_TCP
    with (
        postgres.connect(settings) as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as opened,
    ):
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert opened.getsockopt(tcp, socket.TCP_KEEPIDLE) + 3 * opened.getsockopt(tcp, socket.TCP_KEEPINTVL) == 60
        assert opened.getsockopt(tcp, socket.TCP_KEEPCNT) == 3
        assert opened.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 120_000
