"""Checks of fidelities."""

from __future__ import annotations

from typing import Any

import pytest

from nas.blackbox.evaluator import check_fidelities
from nas.utils.errors import NasError


@pytest.mark.parametrize("given", [[3, 1], [1, 1], [0, 2], [1.5, 2], [True, 2], "13", 5], ids=repr)
def test_check_fidelities_refuses_what_does_not_increase(given: Any) -> None:
    with pytest.raises(NasError, match=r"evaluator.fidelities=.*increasing whole numbers of epochs"):
        check_fidelities(given)
