"""Where the files that come with the package are: the chart, values files, sources of the image, engines, rates.

The package's folder `data` links to them in a checkout and holds copies of them in a wheel.
"""

from pathlib import Path

from lmcache_kserve.errors import HarnessError

_DATA = Path(__file__).resolve().parent / "data"


def chart_path() -> Path:
    """The folder of the Helm chart."""
    return _DATA / "charts" / "lmcache-kserve"


def image_path() -> Path:
    """The folder of the CPU engine: requirements, connector, test model."""
    return _DATA / "images" / "vllm-cpu"


def engines_path() -> Path:
    """The folder of the engines' versions, `engines.yaml`, and of their locks."""
    return _DATA / "engines"


def rates_path() -> Path:
    """The report of `lmcache-kserve compare --backend-only`: how fast each backend's client moves chunks."""
    return _DATA / "rates.json"


def values_path(name: str) -> Path:
    """A values file that comes with the package, by its name without folder: `redis.yaml`.

    Raises:
        HarnessError: there is no such file; the message names the files that exist.
    """
    path = _DATA / "values" / name
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in (_DATA / "values").glob("*.yaml")))
        raise HarnessError(f"There is no values file {name}. Use one of: {known}.")
    return path
