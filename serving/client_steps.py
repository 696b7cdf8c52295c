"""What a client does for a call, without doing it: what to send, how long to wait, what to make of an answer."""

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from serving.problems import FieldProblem, Problem

AGAIN: Final = frozenset({429, 503})
"""Statuses after which the same request may be answered."""

T = TypeVar("T", bound=BaseModel)


class ServiceProblem(Exception):  # noqa: N818  it is the service's answer, not a defect of the client
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, status: int, title: str, detail: str, errors: Sequence[FieldProblem] = ()) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.title, self.detail, self.errors = status, title, detail, errors


class Unreachable(Exception):  # noqa: N818
    """No answer came, however often it was tried."""


@dataclass(frozen=True)
class Retries:
    """When to try again: ``attempts`` in all, after about ``first_s``, 2 · ``first_s``, 4 · … seconds.

    Where the service says how long to wait it is that; if it is more than ``most_s``, there is no other attempt.
    """

    attempts: int = 4
    first_s: float = 0.2
    most_s: float = 10.0
    jitter: random.Random = field(default_factory=random.Random)

    def wait(self, attempt: int, answer: httpx.Response | None) -> float | None:
        """Seconds before the attempt after this one (from 0); None: give up."""
        if attempt + 1 >= self.attempts:
            return None
        said = answer.headers.get("Retry-After", "") if answer is not None else ""
        if said.isdigit():
            return float(said) if float(said) <= self.most_s else None
        return min(self.first_s * 2.0**attempt, self.most_s) * self.jitter.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and the form of what answers it."""

    method: str
    path: str
    form: type[T]
    body: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    accepted: frozenset[int] = frozenset()
    """Statuses that are answers too."""


Outcome = httpx.Response | httpx.TransportError | None
"""Of a step: an answer, none, or nothing because it was to wait."""


def steps(call: Call[T], retries: Retries) -> Generator[dict[str, Any] | float, Outcome, T]:
    """What to do for a call: a request to send, or seconds to wait; gets what came of it, and returns the answer."""
    attempt = 0
    while True:
        request: dict[str, Any] = {"method": call.method, "url": call.path, "params": call.params or None}
        outcome = yield request if call.body is None else {**request, "json": call.body}
        response = outcome if isinstance(outcome, httpx.Response) else None
        if response is not None and (response.status_code not in AGAIN or response.status_code in call.accepted):
            return _read(call, response)
        wait = retries.wait(attempt, response)
        if wait is None:
            if response is not None:
                return _read(call, response)
            raise Unreachable(f"no answer after {attempt + 1} attempts: {outcome}")
        yield wait
        attempt += 1


def _read(call: Call[T], response: httpx.Response) -> T:
    """The answer in its form.

    Raises:
        ServiceProblem: it is a problem, or of no form that is known.
    """
    if response.is_success or response.status_code in call.accepted:
        return call.form.model_validate_json(response.content)
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        raise ServiceProblem(response.status_code, response.reason_phrase, response.text[:200]) from None
    raise ServiceProblem(response.status_code, problem.title, problem.detail, problem.errors or ())
