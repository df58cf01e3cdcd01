"""How much an experiment measures: one set of defaults for every command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How much to measure; lengths in tokens, times in seconds.

    Attributes:
        pairs: measured pairs of a cold and a warm pass.
        warmup_pairs: pairs before them that are set aside.
        prompt_tokens: length of a measured prompt, shortened where the model's context is smaller.
        traffic_tokens: length of a prompt of the steady traffic; at least two chunks are used.
        answer_tokens: length of an answer.
        kill_answer_tokens: length of the answer during which a replica is killed: long enough to be cut off.
        seed: of the prompts; a random one by default, so that no earlier run's cache entries are hit.
        log_timeout_s: how long to wait for the log lines of an answered request.
        outage_timeout_s: how long to wait for the traffic's answers while the backend is away.
        recovery_timeout_s: how long to wait for hits to return after it.
        traffic_interval_s: pause between two requests of the traffic to one replica. Denser traffic would take the
            processor from an engine that starts beside it.
        survivor_interval_s: the same pause while a killed replica starts again: longer, to leave it the processor.
        faults: whether to kill a replica and to interrupt the backend.
        scale_out_requests: how many first requests of a new replica to measure; 0 for none.
    """

    pairs: int = 12
    warmup_pairs: int = 1
    prompt_tokens: int = 3000
    traffic_tokens: int = 800
    answer_tokens: int = 8
    kill_answer_tokens: int = 256
    seed: int | None = None
    log_timeout_s: float = 10.0
    outage_timeout_s: float = 120.0
    recovery_timeout_s: float = 120.0
    traffic_interval_s: float = 1.0
    survivor_interval_s: float = 5.0
    faults: bool = True
    scale_out_requests: int = 0
