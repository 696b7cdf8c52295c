from datetime import UTC, datetime

import pytest

from pipelines.core import api_keys
from pipelines.core.api_keys import ApiKey, Scope
from pipelines.core.errors import ConfigError
from serving.security.keys import NONE_SHOWN, NONE_YET, UNREAD, WORTHLESS, Keyring, Mode, Refusal

SECRET = "s" * 43
READER = ApiKey("0123456789ab", "shop", frozenset({Scope.READ}), api_keys.digest(SECRET), None, datetime.now(UTC))
REVOKED = ApiKey(
    "ba9876543210", "old", frozenset({Scope.READ}), api_keys.digest(SECRET), None, datetime.now(UTC), datetime.now(UTC)
)
HERE = {"type": "http", "client": ("testclient", 1)}
AWAY = {"type": "http", "client": ("10.0.0.7", 1)}


def ring(*keys: ApiKey, mode: Mode = "auto", host: str = "127.0.0.1") -> Keyring:
    keyring = Keyring(mode, host)
    keyring.learn(keys)
    return keyring


def bearer(key_id: str = READER.id, secret: str = SECRET) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {api_keys.text(key_id, secret)}".encode()}


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key"])
def test_key_opens_by_either_header(name: bytes) -> None:
    value = api_keys.text(READER.id, SECRET).encode()
    headers = {name: b"bEaReR " + value if name == b"authorization" else value}
    assert ring(READER).admit(AWAY, headers, Scope.READ) == READER


@pytest.mark.parametrize(
    ("key_id", "secret"), [("f" * 12, SECRET), (READER.id, "t" * 43), (READER.id, "short"), (REVOKED.id, SECRET)]
)
def test_key_that_is_unknown_wrong_or_revoked_is_worthless(key_id: str, secret: str) -> None:
    assert ring(READER, REVOKED).admit(HERE, bearer(key_id, secret), Scope.READ) == WORTHLESS


def test_key_without_the_scope_is_told_which_one_is_needed() -> None:
    refused = ring(READER).admit(HERE, bearer(), Scope.WRITE)
    assert refused == Refusal(403, "this needs a key with scope write; 0123456789ab has read")


def test_without_keys_this_machine_may_and_others_may_not() -> None:
    assert ring().admit(HERE, {}, Scope.ADMIN) is None
    assert ring().admit(AWAY, {}, Scope.READ) == NONE_YET


def test_without_keys_a_service_that_others_reach_refuses_even_this_machine() -> None:
    assert ring(host="0.0.0.0").admit(HERE, {}, Scope.READ) == NONE_YET


def test_once_there_is_a_key_one_is_needed() -> None:
    assert ring(READER).admit(HERE, {}, Scope.READ) == NONE_SHOWN


def test_revoking_the_last_key_opens_nothing() -> None:
    assert ring(REVOKED).admit(HERE, {}, Scope.READ) == NONE_SHOWN


def test_required_needs_a_key_on_this_machine_too() -> None:
    assert ring(mode="required").admit(HERE, {}, Scope.READ) == NONE_YET


def test_off_asks_for_nothing_where_only_this_machine_comes() -> None:
    assert ring(READER, mode="off").admit(HERE, {}, Scope.ADMIN) is None
    with pytest.raises(ConfigError, match=r"listens on 127\.0\.0\.1 only"):
        Keyring("off", "0.0.0.0")


@pytest.mark.parametrize("headers", [{}, bearer()])
def test_nobody_comes_in_before_keys_are_read(headers: dict[bytes, bytes]) -> None:
    assert Keyring("auto", "127.0.0.1").admit(HERE, headers, Scope.READ) == UNREAD


def test_basic_authorization_is_no_key() -> None:
    assert ring(READER).admit(HERE, {b"authorization": b"Basic dTpw"}, Scope.READ) == NONE_SHOWN
