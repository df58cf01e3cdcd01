"""Each wrong value in the place of each value and section of values.yaml; `make test-values` runs this."""

import pytest
from any_value import WRONG, assigned, fault, files, paths

from lmcache_kserve.chart.helm import Helm


@pytest.mark.parametrize("path", paths(), ids=".".join)
def test_a_wrong_value_is_refused_or_harmless(helm: Helm, path: tuple[str, ...]) -> None:
    faults = {repr(wrong): fault(helm, assigned({}, path, wrong), files(path)) for wrong in WRONG}
    assert {wrong: found for wrong, found in faults.items() if found} == {}
