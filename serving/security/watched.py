"""Reads what ``watch`` wants to know. Importing this module imports psycopg."""

import contextlib

import psycopg

from pipelines.core.errors import ServiceError
from pipelines.io.live import api_keys, erasure
from pipelines.io.models import drift_report
from pipelines.settings import Settings
from serving.gauges import DriftReport
from serving.security.said import Said

PATIENCE: str = "-c statement_timeout=3000"
"""A server that hangs is one that doesn't answer."""


class Watched:
    """One connection, opened anew after it broke."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection | None = None

    def __call__(self) -> Said:
        """What the database says.

        Raises:
            ServiceError: it doesn't answer.
        """
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._settings.postgres_conninfo,
                    autocommit=True,
                    connect_timeout=3,
                    options=PATIENCE,
                    application_name="recomart-watch",
                )
            keys, erased = api_keys.every(self._connection), erasure.erased_at(self._connection)
            report = drift_report.newest(self._connection)
            return Said(keys, erased, DriftReport(*report) if report else None)
        except psycopg.Error as error:
            if self._connection is not None:
                with contextlib.suppress(psycopg.Error):
                    self._connection.close()
                self._connection = None
            raise ServiceError(f"Postgres: {' '.join(str(error).split())}") from None
