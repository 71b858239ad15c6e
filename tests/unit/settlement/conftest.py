"""A funded ledger."""

from __future__ import annotations

import pytest

from offchain.domain.ledger import LedgerState
from tests.utils.products import create_ledger

from .cases import MAKER, TAKER, THIRD


@pytest.fixture
def state() -> LedgerState:
    return create_ledger((MAKER, TAKER, THIRD))
