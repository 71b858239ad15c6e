"""The exchange of the interface's tests, in this process."""

from tests.unit.api.conftest import api, create_api, create_exchange, exchange, provider

__all__ = ["api", "create_api", "create_exchange", "exchange", "provider"]
