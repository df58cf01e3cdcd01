"""The replicas of the release, once all of them are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hints
from replica import PAGE_S, Replica
from verdicts import Failure, Unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clock import Clock, Deadline
    from settings import Settings

POLL_S = 2.0


class Rollout:
    """Finds the replicas behind the headless Service and waits until they are complete."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Callable[[str, int], list[tuple[str, int]]],
        clock: Clock,
        deadline: Deadline,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._resolve = resolve
        self._clock = clock
        self._deadline = deadline
        self._say = say

    def wait_until_ready(self) -> list[Replica]:
        """All replicas, once their number is right and each has loaded the model.

        Raises:
            Failure: the time was over before.
        """
        said = ""
        while True:
            replicas, states = self._look()
            state = "; ".join(states) or f"{self._settings.host} names no pod"
            if self._complete(replicas) and len(replicas) == len(states):
                return replicas
            if self._deadline.left() <= 0:
                raise Failure(
                    f"{len(replicas)} of {self._settings.replicas} replicas are ready after "
                    f"{self._settings.timeout:g} s (tests.timeoutSeconds), and the Service names {len(states)} pods: "
                    f"{state}",
                    hints.of_pods(self._settings),
                )
            if state != said:
                self._say(f"waiting until {self._settings.replicas} are ready: {state}")
                said = state
            self._clock.sleep(POLL_S)

    def _complete(self, replicas: Sequence[Replica]) -> bool:
        # More replicas than wanted mean a rollout that has not ended: some are about to leave.
        wanted = self._settings.replicas
        return len(replicas) >= max(1, wanted) if self._settings.or_more else len(replicas) == wanted

    def _look(self) -> tuple[list[Replica], list[str]]:
        """The replicas that are ready, and a state in words for every replica."""
        ready, states = [], []
        for address, port in self._resolve(self._settings.host, self._settings.port):
            replica = Replica(address, port, self._settings)
            try:
                replica.get(self._settings.model_path, seconds=PAGE_S)
            except Unproven as problem:
                states.append(str(problem))
            else:
                ready.append(replica)
                states.append(f"{replica} is ready")
        return ready, states
