"""All addresses of the service."""

from __future__ import annotations

import re

from aiohttp import web

from offchain.api.admin import handlers as admin
from offchain.api.admin import onchain
from offchain.api.handlers import (
    accounts,
    actions,
    apikeys,
    auth,
    batches,
    derivatives,
    documents,
    figures,
    markets,
    orders,
    service,
)
from offchain.api.websocket import websocket

_ORDER = "/v1/orders/{id:(?!(?:batch|array)$)[^/]+}"
"""What other methods make of `batch` and `array` is no order."""

ROUTES: tuple[web.RouteDef, ...] = (
    # orders
    web.post("/v1/orders", orders.place_order),
    web.post("/v1/orders/batch", batches.place_orders),
    web.post("/v1/orders/array", batches.place_array),
    web.get("/v1/orders", orders.list_orders, allow_head=False),
    web.get(_ORDER, orders.get_order, allow_head=False),
    web.put(_ORDER, orders.replace_order),
    web.delete(_ORDER, orders.cancel_order),
    web.delete("/v1/orders", orders.cancel_orders),
    web.put("/v1/cancel-after", orders.cancel_after),
    # transactions on chain
    web.post("/v1/vault/withdraw", actions.withdraw),
    web.post("/v1/account/delegates", actions.set_delegate),
    web.post("/v1/orders/{id}/cancel-on-chain", actions.cancel_on_chain),
    web.post("/v1/account/cancel-all-on-chain", actions.cancel_all_on_chain),
    web.get("/v1/actions", actions.list_actions, allow_head=False),
    web.get("/v1/actions/{id}", actions.get_action, allow_head=False),
    # signing in
    web.post("/v1/auth/challenge", auth.create_challenge),
    web.post("/v1/auth/sessions", auth.create_session),
    web.get("/v1/auth/session", auth.get_session, allow_head=False),
    web.delete("/v1/auth/sessions/current", auth.end_session),
    web.post("/v1/keys", apikeys.create_key),
    web.get("/v1/keys", apikeys.list_keys, allow_head=False),
    web.delete("/v1/keys/{id}", apikeys.revoke_key),
    # accounts
    web.get("/v1/account", accounts.get_account, allow_head=False),
    web.get("/v1/balances", accounts.list_balances, allow_head=False),
    web.get("/v1/positions", accounts.list_positions, allow_head=False),
    web.get("/v1/fills", accounts.list_fills, allow_head=False),
    web.get("/v1/deposits", accounts.list_deposits, allow_head=False),
    web.get("/v1/withdrawals", accounts.list_withdrawals, allow_head=False),
    # markets
    web.get("/v1/markets", markets.list_markets, allow_head=False),
    web.get("/v1/orderbook/{symbol}", markets.get_orderbook, allow_head=False),
    web.get("/v1/trades/{symbol}", markets.list_trades, allow_head=False),
    web.get("/v1/candles/{symbol}", figures.list_candles, allow_head=False),
    web.get("/v1/tickers", figures.list_tickers, allow_head=False),
    web.get("/v1/tickers/{symbol}", figures.get_ticker, allow_head=False),
    web.get("/v1/statistics", figures.get_statistics, allow_head=False),
    web.get("/v1/fees", markets.get_fees, allow_head=False),
    web.get("/v1/funding/{symbol}", derivatives.get_funding, allow_head=False),
    web.get("/v1/open-interest", derivatives.get_open_interest, allow_head=False),
    web.get("/v1/options", derivatives.get_options, allow_head=False),
    web.get("/v1/prices", markets.list_prices, allow_head=False),
    web.get("/v1/time", markets.get_time, allow_head=False),
    # administration
    web.get("/v1/admin/settings", admin.get_settings, allow_head=False),
    web.post("/v1/admin/settings", admin.change_settings),
    web.post("/v1/admin/halt", admin.halt_all),
    web.post("/v1/admin/resume", admin.resume_all),
    web.post("/v1/admin/markets/{symbol}/halt", admin.halt_market),
    web.post("/v1/admin/markets/{symbol}/resume", admin.resume_market),
    web.post("/v1/admin/markets/{symbol}/limit", admin.limit_quantity),
    web.post("/v1/admin/markets/{symbol}/leverage", admin.set_leverage),
    web.post("/v1/admin/markets", onchain.create_market),
    web.post("/v1/admin/markets/{symbol}/status", onchain.set_status),
    web.post("/v1/admin/fee", onchain.schedule_fee),
    web.get("/v1/admin/actions", onchain.list_actions, allow_head=False),
    web.get("/v1/admin/actions/{id}", onchain.get_action, allow_head=False),
    web.get("/v1/admin/dead-letters", admin.list_dead_letters, allow_head=False),
    web.get("/v1/admin/dead-letters/{id}", admin.get_dead_letter, allow_head=False),
    web.post("/v1/admin/dead-letters/{id}/retry", admin.retry_dead_letter),
    web.post("/v1/admin/dead-letters/{id}/bust", admin.bust_dead_letter),
    web.get("/v1/admin/audit", admin.list_audit, allow_head=False),
    # stream
    web.get("/v1/ws", websocket, allow_head=False),
    # documents
    web.get("/v1/openapi.json", documents.get_openapi, allow_head=False),
    web.get("/v1/asyncapi.json", documents.get_asyncapi, allow_head=False),
    web.get("/docs", documents.get_page, allow_head=False),
    # service
    web.get("/v1/status", service.get_status, allow_head=False),
    web.get("/livez", service.live),
    web.get("/readyz", service.ready),
    web.get("/metrics", service.get_metrics, allow_head=False),
)


def documented(route: web.RouteDef) -> tuple[str, str]:
    """Method and address of a route, without what its variables look like."""
    return route.method, re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", route.path)
