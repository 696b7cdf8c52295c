"""How old what a feature view knows may be, and how old it is."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipelines.core.errors import ConfigError

TAG: Final = "max_age"
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def parse_max_age(text: str | None, view: str) -> timedelta:
    """The length of time that ``36h``, ``7d`` or ``90m`` names.

    Raises:
        ConfigError: it has another form, or is nothing.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text or "")
    if not found:
        raise ConfigError(
            f"feature_repo/definitions.py: {view}: tag {TAG} is {text!r}: a whole number and m, h or d, as in 36h"
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@dataclass(frozen=True)
class Freshness:
    """What a view knows of ends at ``online`` in the online store (None: it isn't there); ``newest`` is its last row's

    stamp in the offline store, which may be long ago where nothing changes.
    """

    view: str
    max_age: timedelta
    online: datetime | None
    newest: datetime | None = None

    def age(self, now: datetime) -> timedelta | None:
        """How long ago its knowledge ends."""
        return None if self.online is None else now - self.online

    def is_fresh(self, now: datetime) -> bool:
        """Whether it is there and not older than it may be."""
        age = self.age(now)
        return age is not None and age <= self.max_age
