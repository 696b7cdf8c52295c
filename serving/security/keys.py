"""The keys that this process knows, and what it says to a request that shows one, or none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from starlette.types import Scope as Connection

from pipelines.core import api_keys
from pipelines.core.api_keys import ApiKey, Scope
from pipelines.core.errors import ConfigError
from pipelines.core.hosts import is_loopback
from serving.security.policy import is_from_here

Mode = Literal["auto", "required", "off"]
BEARER: Final = "bearer "


@dataclass(frozen=True)
class Refusal:
    """Why a request isn't answered: a status and a sentence."""

    status: Literal[401, 403, 503]
    detail: str


NONE_YET: Final = Refusal(
    401, "this service has no API key yet: its owner makes one with `python -m pipelines keys create NAME --scope read`"
)
NONE_SHOWN: Final = Refusal(401, "an API key is needed: send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`")
WORTHLESS: Final = Refusal(401, "this API key is unknown or revoked")
UNREAD: Final = Refusal(503, "the API keys can't be read yet, so none can be checked")


class Keyring:
    """The keys as they were last read. Readers see the old ones or the new ones, whole."""

    def __init__(self, mode: Mode, host: str) -> None:
        """Ask for keys as ``mode`` says, of a service that listens on ``host``.

        Raises:
            ConfigError: keys are off, but others than this machine can reach the service.
        """
        if mode == "off" and not is_loopback(host):
            raise ConfigError(
                f"RECOMART_AUTH=off, but the service listens on {host}: without keys it listens on 127.0.0.1 only"
            )
        self._mode: Mode = mode
        self._local = is_loopback(host)
        self._keys: Mapping[str, ApiKey] | None = None
        """Id → key, revoked ones too: whoever revokes the last one hasn't opened the service."""

    @property
    def is_read(self) -> bool:
        """Whether the keys have been read, or none are asked for."""
        return self._mode == "off" or self._keys is not None

    def learn(self, keys: Iterable[ApiKey]) -> None:
        """Take over what the database says now."""
        self._keys = {key.id: key for key in keys}

    def admit(self, connection: Connection, headers: Mapping[bytes, bytes], scope: Scope) -> ApiKey | Refusal | None:
        """The key that opens the way; None where none is needed; else why the way stays shut."""
        if self._mode == "off":
            return None
        if (shown := _shown(headers)) is not None:
            return self._judge(shown, scope)
        if self._keys is None:
            return UNREAD
        if self._keys:
            return NONE_SHOWN
        return None if self._mode == "auto" and self._local and is_from_here(connection, headers) else NONE_YET

    def _judge(self, shown: str, scope: Scope) -> ApiKey | Refusal:
        if (parsed := api_keys.parse(shown)) is None:
            return WORTHLESS
        if self._keys is None:
            return UNREAD
        key_id, secret = parsed
        key = self._keys.get(key_id)
        if key is None or key.revoked_at is not None or not key.is_opened_by(secret):
            return WORTHLESS
        return (
            key if key.may(scope) else Refusal(403, f"this needs a key with scope {scope}; {key_id} has {_named(key)}")
        )


def _shown(headers: Mapping[bytes, bytes]) -> str | None:
    """The key that a request shows, if it shows any."""
    if (given := headers.get(b"x-api-key")) is not None:
        return given.decode("latin-1").strip()
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    return authorization[len(BEARER) :].strip() if authorization[: len(BEARER)].lower() == BEARER else None


def _named(key: ApiKey) -> str:
    return ", ".join(sorted(key.scopes))
