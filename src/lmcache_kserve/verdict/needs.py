"""What a check may need of a release. Each need returns why the release lacks it, or None where nothing is missing."""

from lmcache_kserve.evidence import Evidence


def faults(evidence: Evidence) -> str | None:
    """The user asked for faults."""
    return None if evidence.wanted_faults else "--no-faults was given, so the experiment interrupted nothing"


def scale_out(evidence: Evidence) -> str | None:
    """The user asked for a new replica's first requests."""
    return None if evidence.wanted_scale_out else "--scale-out was not given"


def backend(evidence: Evidence) -> str | None:
    """The release has a remote backend."""
    return None if evidence.subject.backend_type != "none" else "remoteBackend.type is none"


def own_backend(evidence: Evidence) -> str | None:
    """The release runs its backend. A backend that nobody can reach is not excused: its check has to fail."""
    if evidence.subject.backend_controllable is False:
        return "the release does not run its backend, so the experiment does not stop the backend"
    return None


def sharing(evidence: Evidence) -> str | None:
    """Replicas share chunks."""
    if evidence.replicas_share:
        return None
    return "replicas share no chunks: remoteBackend.type is none, and the replicas have no common LMCache server"


def cache_server(evidence: Evidence) -> str | None:
    """The release runs LMCache servers."""
    mode = evidence.subject.mode
    return None if mode == "multiprocess" else f"lmcache.mode is {mode}, which has no LMCache server"
