"""What the tests of trainings share."""

from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture(scope="module", autouse=True)
def no_precision_of_another_module() -> Iterator[None]:
    """Forget the precision that tests of another module trained in; a process has one."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()
