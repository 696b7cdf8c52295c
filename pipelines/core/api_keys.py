"""API keys: what they look like, and who may do what.

A key is ``rm_<id>_<secret>``. The id is public; the secret has 256 random bits, so a plain SHA-256 of it can't be
turned back and needs no salt and no slow hash. Only that digest is ever stored.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

PREFIX: Final = "rm_"
_FORM: Final = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")


class Scope(StrEnum):
    """What a key is for: ask, tell, or manage. ``admin`` may do all."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored. ``rate_limit``: requests a second; None: the service's default. Times are UTC."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    rate_limit: float | None
    created_at: datetime
    revoked_at: datetime | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the key is good for ``scope``."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def is_opened_by(self, secret: str) -> bool:
        """Whether ``secret`` is the key's; takes as long for any other one."""
        return hmac.compare_digest(digest(secret), self.digest)


def digest(secret: str) -> bytes:
    """What is stored of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


def text(key_id: str, secret: str) -> str:
    """The key as its owner gets it."""
    return f"{PREFIX}{key_id}_{secret}"


def parse(given: str) -> tuple[str, str] | None:
    """(id, secret) of a key's text; None where it is none."""
    found = _FORM.fullmatch(given)
    return (found[1], found[2]) if found else None
