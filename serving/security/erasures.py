"""The users who were erased: until the next model is made without them, this one must not remember them."""

from collections.abc import Mapping

from pipelines.core.lake.erasure import user_hash


class Erasures:
    """Whom to forget. What this process erased itself is known at once, the others' within seconds."""

    def __init__(self) -> None:
        self._at: Mapping[bytes, float] = {}

    def learn(self, at: Mapping[bytes, float]) -> None:
        """Take over what the database says: hash of a user → when it was erased, epoch seconds."""
        self._at = at

    def note(self, user_id: str, at: float) -> None:
        """A user was erased now."""
        self._at = {**self._at, user_hash(user_id): at}

    def forgets(self, user_id: str, since: float) -> bool:
        """Whether what was known of the user at ``since`` (epoch seconds) must count for nothing."""
        return bool(self._at) and self._at.get(user_hash(user_id), since) > since
