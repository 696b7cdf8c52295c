"""What the database says that requests need to know."""

from dataclasses import dataclass

from pipelines.core.api_keys import ApiKey
from serving.gauges import DriftReport


@dataclass(frozen=True)
class Said:
    """What the database says: all keys, hash of an erased user → when (epoch seconds), the last report of drift."""

    keys: list[ApiKey]
    erased: dict[bytes, float]
    drift: DriftReport | None
