import pytest
from made_release import Release


@pytest.fixture
def release() -> Release:
    return Release()
