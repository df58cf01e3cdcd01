"""Pages of metrics in the Prometheus text format: of vLLM's server, and of a backend that counts itself."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from lmcache_kserve.errors import HarnessError

_TIMEOUT_S = 10.0


def fetch(url: str, *, of: str) -> str:
    """The text of a page.

    Args:
        url: the page's address, `http://host:port/metrics`.
        of: whose page it is, for messages.

    Raises:
        HarnessError: it cannot be read.
    """
    try:
        response = httpx2.get(url, timeout=_TIMEOUT_S, trust_env=False)
        response.raise_for_status()
    except httpx2.HTTPError as error:
        raise HarnessError(f"cannot read {url} of {of}: {error}") from error
    return response.text


def counter(page: str, name: str) -> float | None:
    """The sum of a metric over all its labels; None where the page does not have it.

    Raises:
        ValueError: the page is not in the Prometheus text format.
    """
    values = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    ]
    return sum(values) if values else None
