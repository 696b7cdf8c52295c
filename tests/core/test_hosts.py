import pytest

from pipelines.core.hosts import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.7", "shop.example", "localhost.example", "127.0.0.1.example"]
)
def test_all_else_is_reached_by_others(host: str) -> None:
    assert not is_loopback(host)
