from datetime import UTC, datetime

import pytest

from pipelines.core import api_keys
from pipelines.core.api_keys import ApiKey, Scope

SECRET = "s" * 43


def key(*scopes: Scope) -> ApiKey:
    return ApiKey("0123456789ab", "shop", frozenset(scopes), api_keys.digest(SECRET), None, datetime.now(UTC))


def test_key_reads_back_from_its_text() -> None:
    assert api_keys.parse(api_keys.text("0123456789ab", SECRET)) == ("0123456789ab", SECRET)


@pytest.mark.parametrize(
    "given", ["", "rm_", "rm_0123456789ab_short", f"xx_0123456789ab_{SECRET}", f"rm_0123456789AB_{SECRET}"]
)
def test_text_of_another_form_is_no_key(given: str) -> None:
    assert api_keys.parse(given) is None


def test_key_is_opened_by_its_secret_only() -> None:
    assert key().is_opened_by(SECRET)
    assert not key().is_opened_by("t" * 43)


def test_admin_may_all_and_others_their_own() -> None:
    assert [key(Scope.ADMIN).may(scope) for scope in Scope] == [True, True, True]
    assert [key(Scope.READ).may(scope) for scope in Scope] == [True, False, False]
    assert [key(Scope.READ, Scope.WRITE).may(scope) for scope in Scope] == [True, True, False]
