"""Puts the parts of the service's security together, and before the application."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from pipelines.settings import Settings
from serving.metrics import Metrics
from serving.security import openapi, watch
from serving.security.eraser import Eraser
from serving.security.erasures import Erasures
from serving.security.guard import Guard, Guarding
from serving.security.keys import Keyring
from serving.security.limits import Limits
from serving.security.rate import Limiter, Shared
from serving.spans import Spans
from serving.tracing import Tracing

CORS_METHODS = ("GET", "POST")
CORS_HEADERS = ("Authorization", "X-API-Key", "Content-Type", "X-Request-Id")


class Security:
    """The parts of one application."""

    def __init__(self, settings: Settings) -> None:
        """Prepare them; nothing is asked yet.

        Raises:
            ConfigError: keys are off, but others than this machine can reach the service.
        """
        self._settings = settings
        self.erasures = Erasures()
        self.eraser = Eraser(settings, self.erasures)
        self.keyring = Keyring(settings.auth, settings.api_host)
        self.limiter = Limiter(_shared(settings))
        self.watch = watch.Watch(watch.reader(settings), self.keyring, self.erasures, watch.REFRESH_S)

    def start(self) -> None:
        """Begin to read keys and to exchange counts."""
        self.watch.start()
        self.limiter.start()

    def stop(self) -> None:
        """End both."""
        self.limiter.stop()
        self.watch.stop()

    def install(self, app: FastAPI, metrics: Metrics, traces: Spans | None) -> None:
        """Let every request pass the guard, and be traced whatever becomes of it; routes and problems are there."""
        settings = self._settings
        guarding = Guarding(
            keyring=self.keyring,
            limiter=self.limiter,
            limits=Limits(settings.max_body_bytes, settings.request_timeout_s),
            rate_limit=settings.rate_limit,
            metrics_open=settings.metrics_open,
            rejected=metrics.rejected,
        )
        openapi.install(app, settings.metrics_open)
        app.add_middleware(Guard, guarding=guarding)
        if origins := [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]:
            app.add_middleware(
                CORSMiddleware, allow_origins=origins, allow_methods=CORS_METHODS, allow_headers=CORS_HEADERS
            )
        ended = [metrics.answered, traces.ended] if traces else [metrics.answered]
        app.add_middleware(Tracing, ended=ended, log_secret=settings.log_secret)


def _shared(settings: Settings) -> Shared | None:
    if settings.redis_url is None:
        return None
    from serving.security.rate_redis import RedisCounts  # imports redis-py, which importing the application must not

    return RedisCounts(settings.redis_url)
