import psycopg
import pytest

from pipelines.core import api_keys as form
from pipelines.core.api_keys import Scope
from pipelines.core.errors import InputError
from pipelines.io import postgres
from pipelines.io.live import api_keys
from pipelines.settings import Settings


def test_no_keys_where_none_was_made(settings: Settings) -> None:
    with postgres.connect(settings) as connection:
        assert api_keys.every(connection) == []


def test_created_key_is_known_by_its_digest_alone(settings: Settings) -> None:
    with postgres.connect(settings) as connection:
        text = api_keys.create(connection, "shop", [Scope.WRITE, Scope.READ], rate_limit=2.5)
    parsed = form.parse(text)
    assert parsed is not None
    with postgres.connect(settings) as connection:
        (key,) = api_keys.every(connection)
        stored = str(connection.execute("SELECT * FROM live.api_keys").fetchall())
    assert (key.id, key.name, key.scopes, key.rate_limit) == (parsed[0], "shop", {Scope.READ, Scope.WRITE}, 2.5)
    assert key.is_opened_by(parsed[1])
    assert key.revoked_at is None
    assert parsed[1] not in stored


def test_revoked_key_stays_revoked_since_the_first_time(settings: Settings) -> None:
    with postgres.connect(settings) as connection:
        parsed = form.parse(api_keys.create(connection, "shop", [Scope.READ]))
        assert parsed is not None
    with postgres.connect(settings) as connection:
        first = api_keys.revoke(connection, parsed[0])
    with postgres.connect(settings) as connection:
        assert first.revoked_at == api_keys.revoke(connection, parsed[0]).revoked_at is not None
        assert [key.revoked_at for key in api_keys.every(connection)] == [first.revoked_at]


def test_revoking_a_key_that_is_not_there_says_so(settings: Settings) -> None:
    with postgres.connect(settings) as connection, pytest.raises(InputError, match="there is no key abc"):
        api_keys.revoke(connection, "abc")


def test_tables_can_be_made_by_several_at_once(settings: Settings) -> None:
    with psycopg.connect(settings.postgres_conninfo) as one, psycopg.connect(settings.postgres_conninfo) as other:
        api_keys.create(one, "a", [Scope.READ])
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):  # it waits; without the lock Postgres would let it fail
            api_keys.create(other, "b", [Scope.READ])
