"""The shadow: a model that is scored beside the one that answers, by a thread of its own, and only logged."""

import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Final
from uuid import UUID, uuid4

from serving.experiments import Assignment, Experiments
from serving.exposures import Exposure
from serving.recommender import Recommender
from serving.replay_log import ReplayLog
from serving.tracing import Trace

WAITING: Final = 16
"""At most; what comes while so many wait is left out, so that the shadow never takes more than a thread's time."""
STOP_SECONDS: Final = 2.0


class Shadow:
    """Scores the shadow model for its share of the recommendations."""

    def __init__(
        self,
        recommender: Recommender,
        experiments: Experiments,
        replay: ReplayLog,
        forgets: Callable[[str, float], bool],
    ) -> None:
        """``forgets``: whether what was known of a user at a time (epoch seconds) must count for nothing."""
        self.scored = 0
        self.dropped = 0
        self.error: str | None = None
        self._recommender = recommender
        self._experiments = experiments
        self._replay = replay
        self._forgets = forgets
        self._queue: Queue[Exposure] = Queue(WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    @property
    def waiting(self) -> int:
        """How many are not scored yet."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to score; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop scoring."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def consider(self, exposure: Exposure) -> None:
        """Take a recommendation if it is one of the share: its id, which is random, decides."""
        shadow = self._experiments.shadow()
        if shadow is None or UUID(exposure.id).int / 2**128 >= shadow[1]:
            return
        try:
            self._queue.put_nowait(exposure)
        except Full:
            self.dropped += 1

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._score(self._queue.get(timeout=0.2))
            except Empty:
                continue
            except BaseException as error:
                self.error = f"the shadow ended with an unexpected {type(error).__name__}; see the log"
                raise

    def _score(self, exposure: Exposure) -> None:
        shadow = self._experiments.shadow()
        if shadow is None:
            return
        snapshot, user_id = shadow[0], exposure.query.user_id
        decided = self._recommender.recommend(
            snapshot,
            exposure.query,
            Trace("shadow"),
            seed=exposure.seed,
            forgotten=user_id is not None and self._forgets(user_id, snapshot.cut_s),
        )
        at = time.time()
        same = Exposure.of(str(uuid4()), snapshot, exposure.query, decided, Assignment(snapshot), at, exposure.id)
        self._replay.put(same)
        self.scored += 1
