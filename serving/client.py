"""A client for shops: the service's calls as methods, typed, that try again where that may help.

    with Client("http://localhost:8000", key="rm_…") as shop:
        shop.track(event("U1", "P1", "view"))
        for item in shop.recommend("U1").items:
            print(item.title, item.reason)

``AsyncClient`` has the same methods, to be awaited. Both only carry out what ``client_steps`` says. All calls may be
sent again: events have ids of their own, the others change nothing or erase what is gone already.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar, overload
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel

from serving import client_steps
from serving.client_steps import Call, Outcome, Retries, ServiceProblem, Unreachable
from serving.event_schemas import EventIn, EventsOut
from serving.replay_schemas import LoggedOut
from serving.schemas import (
    BatchIn,
    BatchOut,
    ErasedOut,
    ReadyOut,
    RecommendIn,
    RecommendOut,
    SimilarIn,
    SimilarOut,
    UserFeaturesOut,
)

__all__ = ["AsyncClient", "Client", "RecommendIn", "Retries", "ServiceProblem", "SimilarIn", "Unreachable", "event"]

T = TypeVar("T", bound=BaseModel)
P = ParamSpec("P")


def event(
    user_id: str,
    item_id: str,
    event_type: Literal["view", "click", "add_to_cart", "remove_from_cart", "purchase"],
    **more: Any,
) -> EventIn:
    """An event with an id of its own, so that it counts once however often it is sent; ``more``: as ``EventIn``."""
    return EventIn(
        **{"event_id": str(uuid4()), "user_id": user_id, "item_id": item_id, "event_type": event_type} | more
    )


def _recommend(asked: RecommendIn | str) -> Call[RecommendOut]:
    """What to show to a user, or to whoever the query describes."""
    return Call("POST", "/recommend", RecommendOut, _sent(asked if isinstance(asked, RecommendIn) else _user(asked)))


def _recommend_batch(asked: Sequence[RecommendIn | str]) -> Call[BatchOut]:
    """The answers to up to 100 queries, in their order."""
    queries = [one if isinstance(one, RecommendIn) else _user(one) for one in asked]
    return Call("POST", "/recommend/batch", BatchOut, _sent(BatchIn(queries=queries)))


def _similar(item_id: str, asked: SimilarIn | None = None) -> Call[SimilarOut]:
    """What goes with an item."""
    return Call("GET", f"/items/{quote(item_id, safe='')}/similar", SimilarOut, params=_sent(asked) if asked else {})


def _track(*events: EventIn) -> Call[EventsOut]:
    """Store up to 1,000 events; once this returns they are durable and the next recommendation knows of them."""
    return Call("POST", "/events", EventsOut, [_sent(one) for one in events])


def _user_features(user_id: str) -> Call[UserFeaturesOut]:
    """What the model sees of a user."""
    return Call("GET", f"/users/{quote(user_id, safe='')}/features", UserFeaturesOut)


def _erase(user_id: str) -> Call[ErasedOut]:
    """Erase a user."""
    return Call("DELETE", f"/users/{quote(user_id, safe='')}", ErasedOut)


def _recommendation(recommendation_id: str, candidates: bool = False) -> Call[LoggedOut]:
    """An answer as it was given, and computed again."""
    path = f"/recommendations/{quote(recommendation_id, safe='')}"
    return Call("GET", path, LoggedOut, params={"candidates": candidates})


def _ready() -> Call[ReadyOut]:
    """Which parts of the service work."""
    return Call("GET", "/ready", ReadyOut, accepted=frozenset({503}))


def _user(user_id: str) -> RecommendIn:
    return RecommendIn(user_id=user_id)


def _sent(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_unset=True)


class _Method(Generic[P, T]):
    """What makes a call, as a method of both clients: of the one it returns the answer, of the other its promise."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self._call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> "_Method[P, T]": ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self._call(*args, **kwargs))

        method.__doc__ = self.__doc__
        return method


class _Calls:
    """The methods of both clients."""

    recommend = _Method(_recommend)
    recommend_batch = _Method(_recommend_batch)
    similar = _Method(_similar)
    track = _Method(_track)
    user_features = _Method(_user_features)
    erase = _Method(_erase)
    recommendation = _Method(_recommendation)
    ready = _Method(_ready)


class Client(_Calls):
    """Waits for its answers. May be shared by threads.

    Every method raises ServiceProblem where the service answers with a problem, Unreachable where it doesn't answer.
    """

    def __init__(
        self,
        address: str,
        key: str | None = None,
        *,
        timeout_s: float = 5.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``key``: an API key, needed where the service asks for one."""
        self._retries = retries or Retries()
        self._http = httpx.Client(base_url=address, headers=_headers(key), timeout=timeout_s, transport=transport)

    def send(self, call: Call[T]) -> T:
        """Carry out a call."""
        steps = client_steps.steps(call, self._retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            outcome = None
            if isinstance(step, float):
                time.sleep(step)
                continue
            try:
                outcome = self._http.request(**step)
            except httpx.TransportError as error:
                outcome = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


class AsyncClient(_Calls):
    """As ``Client``, but its methods are awaited."""

    def __init__(
        self,
        address: str,
        key: str | None = None,
        *,
        timeout_s: float = 5.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``key``: an API key, needed where the service asks for one."""
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(base_url=address, headers=_headers(key), timeout=timeout_s, transport=transport)

    async def send(self, call: Call[T]) -> T:
        """Carry out a call."""
        steps = client_steps.steps(call, self._retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            outcome = None
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            try:
                outcome = await self._http.request(**step)
            except httpx.TransportError as error:
                outcome = error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
