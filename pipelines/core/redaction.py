"""Keep secrets out of what is logged."""

import hashlib
import hmac
import logging
import re
from typing import Final

_SECRETS: Final = re.compile(
    r"(?P<user>//[^/@\s:\"']*:)[^/@\s]+(?=@)"  # scheme://user:password@host
    r"|(?P<key>\brm_[0-9a-f]{12}_)[A-Za-z0-9_-]+"
    r"|(?P<word>(?:password|secret|token|x-api-key|authorization)\\?[\"']?\s*[=:]\s*\\?[\"']?(?:bearer\s+)?|bearer\s+)"
    r"[^\s\"'\\,;&]+",
    re.IGNORECASE,
)


_CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")
_SIGNS: Final = ("//", "rm_", "password", "secret", "token", "x-api-key", "authorization", "bearer")
"""Without one of these, in any case, ``_SECRETS`` finds nothing."""


def may_hold_secrets(text: str) -> bool:
    """False where ``redacted`` would change nothing of ``text``, told in a fraction of its time."""
    if not text.isascii():  # other letters pass for some of these where case is ignored
        return True
    lower = text.lower()
    return any(sign in lower for sign in _SIGNS)


def redacted(text: str) -> str:
    """``text`` with ``***`` in place of passwords in URLs, API keys, and what follows ``password=`` and the like."""
    return _SECRETS.sub(lambda found: f"{found['user'] or found['key'] or found['word']}***", text)


def without_credentials(text: str) -> str:
    """``text`` with ``***`` in place of users and passwords in URLs."""
    return _CREDENTIALS.sub("//***@", text)


class Redacting(logging.Formatter):
    """Formats as usual, and takes secrets out of the whole, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redacted(super().format(record))


def pseudonym(user_id: str, secret: str) -> str:
    """What stands for a user in the log: the same for the same user, and nobody without ``secret`` can tell who.

    The first 64 bits of HMAC-SHA-256, as hex.
    """
    return hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()[:16]
