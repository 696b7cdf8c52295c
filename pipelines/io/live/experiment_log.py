"""What was shown in experiments and what came of it, from the tables that the service writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

import numpy as np
from psycopg import Connection

from pipelines.core.evaluation.experiment_report import Exposures
from pipelines.io import live_schema

CONVERSIONS: Final = ("click", "add_to_cart", "purchase")
_EXPOSURES: Final[LiteralString] = """
WITH converted AS (
    SELECT shown.id, array_agg(DISTINCT e.event_type) AS types
    FROM live.events e CROSS JOIN LATERAL (
        SELECT r.id FROM live.recommendations r
        WHERE r.user_id = e.user_id AND r.shadow_of IS NULL AND r.at <= e.ts AND r.at > e.ts - %(window)s
            AND r.items @> jsonb_build_array(jsonb_build_object('item_id', e.item_id))
        ORDER BY r.at DESC, r.id LIMIT 1) shown
    WHERE e.ts >= %(since)s AND e.event_type = ANY(%(types)s)
    GROUP BY shown.id)
SELECT r.arm, r.user_id, r.propensity, count(*), count(c.id),
    count(*) FILTER (WHERE 'click' = ANY(c.types)), count(*) FILTER (WHERE 'add_to_cart' = ANY(c.types)),
    count(*) FILTER (WHERE 'purchase' = ANY(c.types)), array_agg(DISTINCT r.model_version)
FROM live.recommendations r LEFT JOIN converted c USING (id)
WHERE r.experiment = %(experiment)s AND r.at >= %(since)s AND r.shadow_of IS NULL
GROUP BY r.arm, r.user_id, r.propensity ORDER BY r.arm, r.user_id, r.propensity
"""
"""An event speaks for the newest recommendation of its item to its user, in whatever arm that was."""
_SHADOW: Final[LiteralString] = """
SELECT s.model_version, count(*), avg((
    SELECT count(*) FROM jsonb_array_elements(r.items) shown
    WHERE s.items @> jsonb_build_array(jsonb_build_object('item_id', shown->>'item_id')))::float8
    / nullif(jsonb_array_length(r.items), 0))
FROM live.recommendations s JOIN live.recommendations r ON r.id = s.shadow_of
WHERE s.at >= %(since)s GROUP BY s.model_version ORDER BY s.model_version
"""


@dataclass(frozen=True)
class Arm:
    """What is logged of an arm."""

    name: str
    versions: tuple[int, ...]
    """Of the models that answered."""
    exposures: Exposures
    by_type: dict[str, int]
    """Event type -> exposures from which such an event came."""


@dataclass(frozen=True)
class Shadowed:
    """What is logged of a version that was scored beside."""

    version: int
    answers: int
    overlap: float | None
    """Of what was shown, the mean share that it would have shown, too."""


def experiments(connection: Connection, since: datetime) -> list[str]:
    """The experiments of which something was shown since then, by name."""
    if not live_schema.holds(connection, "recommendations"):
        return []
    found = connection.execute(
        "SELECT DISTINCT experiment FROM live.recommendations WHERE experiment IS NOT NULL AND at >= %s ORDER BY 1",
        [since],
    )
    return [name for (name,) in found.fetchall()]


def arms(connection: Connection, experiment: str, since: datetime, window: timedelta) -> list[Arm]:
    """The arms by name. Something came of an exposure if an event followed within ``window`` of which it was the cause:

    a click, an add to the cart or a purchase of an item, by a user to whom no later recommendation showed it.
    """
    query = _EXPOSURES
    if not live_schema.holds(connection, "events"):  # nobody has sent any yet
        connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS no_events (user_id text, item_id text, event_type text, ts timestamptz)"
        )
        query = query.replace("live.events", "no_events")
    values = {"experiment": experiment, "since": since, "window": window, "types": list(CONVERSIONS)}
    rows = connection.execute(query, values).fetchall()
    names = sorted({str(row[0]) for row in rows})
    return [_arm(name, [row for row in rows if row[0] == name]) for name in names]


def shadows(connection: Connection, since: datetime) -> list[Shadowed]:
    """The versions that were scored beside those that answered."""
    if not live_schema.holds(connection, "recommendations"):
        return []
    return [Shadowed(*row) for row in connection.execute(_SHADOW, {"since": since}).fetchall()]


def _arm(name: str, rows: Sequence[tuple[object, ...]]) -> Arm:
    columns = list(zip(*rows, strict=True))
    shown, converted, *by_type = (np.array(column, np.int64) for column in columns[3:8])
    exposures = Exposures(np.array(columns[1]), np.array(columns[2], np.float64), shown, converted)
    versions = tuple(sorted({version for found in columns[8] for version in found}))
    return Arm(name, versions, exposures, {t: int(n.sum()) for t, n in zip(CONVERSIONS, by_type, strict=True)})
