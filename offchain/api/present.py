"""Rows and events in the words and units of the wire."""

from __future__ import annotations

from offchain.api.schemas import http, positions
from offchain.catalogue import Catalogue, Listing
from offchain.chain import eip712
from offchain.domain.commands import Configure
from offchain.domain.control import MAX_FEE_BPS
from offchain.domain.events import (
    AccountUpdate,
    BalanceUpdate,
    DelegateUpdate,
    DepositUpdate,
    PositionUpdate,
    Trade,
    WithdrawalUpdate,
)
from offchain.domain.funding import HOUR
from offchain.domain.market import USDC, USDC_DECIMALS, Asset, Kind, Market, MarketStatus
from offchain.domain.oracle import PRICE_DECIMALS, OraclePrice, index_down
from offchain.domain.order import NO_EXPIRY, Address, Side, TimeInForce, Trigger
from offchain.domain.positionview import PositionView
from offchain.domain.results import CancelResult, PlaceResult
from offchain.domain.units import format_units
from offchain.ports import BatchRow, DepositRow, OrderRow, TradeRow, WithdrawalRow

USDC_ASSET = http.AssetInfo(id=USDC, symbol="USDC", decimals=USDC_DECIMALS, synth=None, underlying=None)

RATE_DECIMALS = 8
"""Of rates of funding."""

WITHDRAWAL_AS_CXPT = 1
"""`IWithdrawalQueue.Kind.USDC_AS_CXPT`"""

SETTLEMENT_OF_BATCH = {
    "closed": "pending",
    "sent": "submitted",
    "settled": "settled",
    "confirmed": "confirmed",
    "parked": "pending",
    "retried": "pending",
    "reopened": "pending",
}
"""What a batch's status says about its fills."""


def hex_of(data: bytes) -> str:
    return "0x" + data.hex()


def hex_or_none(data: bytes) -> str | None:
    return hex_of(data) if data else None


def market_status(listing: Listing) -> str:
    return "halted" if listing.halted else MarketStatus(listing.status).name.lower()


_SIDE_NAMES = {int(side): side.name.lower() for side in Side}


def side_name(side: int) -> str:
    return _SIDE_NAMES[side]


class Presenter:
    """Knows markets and assets, and with them units and names."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    # -----------------------------------------------------------------------------------------------------------------
    # Units
    # -----------------------------------------------------------------------------------------------------------------

    def price(self, market: Market, price: int) -> str:
        """From what is signed, per lot, to whole quote units per whole base unit."""
        return format_units(market.price_per_unit(price), market.price_decimals)

    def price_or_none(self, market: Market, price: int | None) -> str | None:
        return None if price is None else self.price(market, price)

    def rate(self, rate: int) -> str:
        """From micro-USDC per whole quote unit to USDC."""
        return format_units(rate, USDC_DECIMALS)

    def quantity(self, market: Market, lots: int) -> str:
        return format_units(lots * market.lot_size, market.decimals)

    def amount(self, asset: int, quanta: int) -> str:
        """Raises KeyError for an asset that was never listed."""
        return format_units(quanta, self._asset(asset).decimals)

    def asset_symbol(self, asset: int) -> str:
        return self._asset(asset).symbol

    def _asset(self, asset: int) -> Asset | http.AssetInfo:
        if asset == USDC:
            return USDC_ASSET
        known = self._catalogue.asset(asset)
        if known is None:
            raise KeyError(f"asset {asset} is not listed")
        return known

    # -----------------------------------------------------------------------------------------------------------------
    # Orders and fills
    # -----------------------------------------------------------------------------------------------------------------

    def placed(self, market: Market, result: PlaceResult, client_order_id: str | None) -> http.PlacedOrder:
        return http.PlacedOrder(
            order_id=hex_of(result.order_hash),
            status=result.status.value,
            filled=self.quantity(market, result.filled) if result.filled else "0",
            remaining=self.quantity(market, result.quantity - result.filled),
            fills=[
                http.Execution(
                    trade_id=hex_of(trade_id),
                    price=self.price(market, price),
                    quantity=self.quantity(market, quantity),
                )
                for trade_id, price, quantity in result.fills
            ],
            code=result.code,
            client_order_id=client_order_id,
            waiting=result.waiting,
        )

    def canceled(self, market: Market, result: CancelResult) -> http.CanceledOrder:
        return http.CanceledOrder(
            order_id=hex_of(result.order_hash),
            status=result.status.value,
            filled=self.quantity(market, result.filled),
            remaining=self.quantity(market, result.quantity - result.filled),
        )

    def order(self, row: OrderRow) -> http.OrderInfo:
        order = row.order
        market = self._catalogue.market(order.market)
        return http.OrderInfo(
            order_id=hex_of(row.order_hash),
            account=hex_of(order.account),
            market=market.symbol,
            side=side_name(order.side),
            type=row.order_type,
            time_in_force=TimeInForce(order.time_in_force).name,
            price=self.price(market, order.price),
            quantity=self.quantity(market, row.lots),
            filled=self.quantity(market, row.filled),
            remaining=self.quantity(market, row.lots - row.filled),
            status=row.status,
            code=row.code,
            nonce=str(order.nonce),
            epoch=order.epoch,
            expiry=None if order.expiry == NO_EXPIRY else order.expiry,
            max_fee_bps=order.max_fee_bps,
            conversion_limit=self.rate(order.conversion_limit) if order.conversion_limit else None,
            reduce_only=order.reduce_only,
            post_only=row.post_only,
            self_trade_prevention=row.self_trade,
            client_order_id=row.client_order_id,
            trigger=self.trigger(market, row.trigger, row.triggered_ms) if row.trigger is not None else None,
            created_at=row.created_ms,
            updated_at=row.updated_ms,
        )

    def trigger(self, market: Market, trigger: Trigger, triggered_ms: int | None) -> http.TriggerInfo:
        return http.TriggerInfo(
            type=trigger.kind.value,
            price=self.price(market, trigger.price),
            by=trigger.source.value,
            triggered_at=triggered_ms,
        )

    def public_trade(self, trade: Trade, seq: int) -> http.PublicTrade:
        market = self._catalogue.market(trade.market)
        return http.PublicTrade(
            trade_id=hex_of(trade.id),
            price=self.price(market, trade.price),
            quantity=self.quantity(market, trade.quantity),
            side=side_name(trade.taker_side),
            time=trade.time_ms,
            seq=seq,
        )

    def trade_row(self, row: TradeRow) -> http.PublicTradeRow:
        market = self._catalogue.market(row.market)
        return http.PublicTradeRow(
            trade_id=hex_of(row.id),
            price=self.price(market, row.price),
            quantity=self.quantity(market, row.quantity),
            side=side_name(row.taker_side),
            time=row.time_ms,
            seq=row.seq,
            settlement=row.settlement,
        )

    def fill(self, account: Address, trade: Trade | TradeRow) -> http.Fill:
        """`account`'s side of a trade; a trade that has just happened is pending."""
        market = self._catalogue.market(trade.market)
        is_maker = trade.maker == account
        side = trade.taker_side ^ is_maker
        settlement = http.Settlement(state="pending", batch=None, tx_hash=None)
        if isinstance(trade, TradeRow):
            settlement = http.Settlement(
                state=trade.settlement, batch=trade.batch or None, tx_hash=hex_or_none(trade.tx_hash)
            )
        return http.Fill(
            trade_id=hex_of(trade.id),
            order_id=hex_of(trade.maker_hash if is_maker else trade.taker_hash),
            market=market.symbol,
            side=side_name(side),
            role="maker" if is_maker else "taker",
            price=self.price(market, trade.price),
            quantity=self.quantity(market, trade.quantity),
            fee=format_units(trade.maker_fee if is_maker else trade.taker_fee, USDC_DECIMALS),
            conversion_rate=self.rate(trade.conversion.rate) if trade.conversion is not None else None,
            time=trade.time_ms,
            item=trade.item,
            settlement=settlement,
        )

    # -----------------------------------------------------------------------------------------------------------------
    # Money
    # -----------------------------------------------------------------------------------------------------------------

    def balance(self, balance: BalanceUpdate) -> http.Balance:
        asset = self._asset(balance.asset)
        return http.Balance(
            asset=asset.symbol,
            settled=format_units(balance.settled, asset.decimals),
            unsettled=format_units(balance.unsettled, asset.decimals),
            reserved=format_units(balance.reserved, asset.decimals),
            held=format_units(balance.held, asset.decimals),
            available=format_units(balance.available, asset.decimals),
        )

    def position(self, view: PositionView) -> positions.Position:
        change, market = self.position_change(view.update), self._catalogue.market(view.update.market)
        return positions.Position(
            market=change.market,
            kind=Kind(market.kind).name.lower(),
            size=change.size,
            settled_size=change.settled_size,
            entry_price=change.entry_price,
            mark_price=self.price_or_none(market, view.mark),
            realised_pnl=change.realised_pnl,
            unrealised_pnl=_usdc_or_none(view.unrealised),
            margin=format_units(view.margin, USDC_DECIMALS),
            index_price=self.price_or_none(market, view.index),
            equity=_usdc_or_none(view.equity),
            maintenance_margin=_usdc_or_none(view.maintenance),
            liquidation_price=self.price_or_none(market, view.liquidation),
        )

    def position_change(self, update: PositionUpdate) -> positions.PositionChange:
        market = self._catalogue.market(update.market)
        entry = None
        if update.size:
            # Down to a micro-USDC per whole base unit: the mean of several prices need not lie on a tick.
            entry = format_units(update.cost * market.scale // (update.size * market.lot_size), USDC_DECIMALS)
        return positions.PositionChange(
            market=market.symbol,
            size=self.quantity(market, update.size),
            settled_size=self.quantity(market, update.settled_size),
            entry_price=entry,
            realised_pnl=format_units(update.realised, USDC_DECIMALS),
        )

    def account(
        self, state: AccountUpdate, delegates: list[DelegateUpdate], deadline_ms: int, nonces: tuple[int, int]
    ) -> http.Account:
        """`nonces`: of the next signed withdrawal, and of the next signed delegate."""
        return http.Account(
            account=hex_of(state.account),
            epoch=state.epoch,
            epoch_bump_pending=state.is_bumping,
            cancels_at=deadline_ms or None,
            delegates=[self.delegate(update) for update in delegates],
            withdrawal_nonce=str(nonces[0]),
            delegate_nonce=str(nonces[1]),
        )

    def delegate(self, update: DelegateUpdate) -> http.Delegate:
        return http.Delegate(delegate=hex_of(update.delegate), valid_until=update.valid_until)

    def withdrawal(self, row: WithdrawalRow | WithdrawalUpdate) -> http.Withdrawal:
        return http.Withdrawal(
            asset=self.asset_symbol(row.asset),
            as_cxpt=row.kind == WITHDRAWAL_AS_CXPT,
            amount=self.amount(row.asset, row.amount),
            status=row.status,
            tx_hash=hex_or_none(row.tx_hash),
            updated_at=row.updated_ms if isinstance(row, WithdrawalRow) else None,
        )

    def deposit(self, deposit: DepositUpdate | DepositRow) -> http.Deposit:
        return http.Deposit(
            asset=self.asset_symbol(deposit.asset),
            amount=self.amount(deposit.asset, deposit.amount),
            status=deposit.status,
            tx_hash=hex_of(deposit.tx_hash),
            block=deposit.block,
        )

    # -----------------------------------------------------------------------------------------------------------------
    # Markets and settlement
    # -----------------------------------------------------------------------------------------------------------------

    def market(self, listing: Listing, window: int) -> http.MarketInfo:
        """`window`: settlement window in seconds."""
        market = listing.market
        expiry = market.terms.expiry if market.derivative is not None else 0
        return http.MarketInfo(
            id=market.id,
            symbol=market.symbol,
            kind=Kind(market.kind).name.lower(),
            base=self.asset_symbol(market.base),
            quote=self.asset_symbol(market.quote),
            instrument=market.instrument,
            decimals=market.decimals,
            tick_size=format_units(market.tick_size, market.price_decimals),
            lot_size=format_units(market.lot_size, market.decimals),
            tick_per_lot=str(market.tick_per_lot),
            min_price=format_units(market.tick_size, market.price_decimals),
            max_price=format_units(market.max_price, market.price_decimals),
            min_quantity=self.quantity(market, 1),
            max_quantity=self.quantity(market, market.max_quantity),
            status=market_status(listing),
            reason=listing.reason,
            trading_ends=(expiry - window // 2) * 1000 if expiry else None,
            option=self._option(market),
            margined=_margined(market),
            opening_margin_bps=listing.opening_margin_bps,
            quantity_limit=None if listing.quantity_limit is None else self.quantity(market, listing.quantity_limit),
        )

    def _option(self, market: Market) -> positions.Option | None:
        if market.kind != Kind.OPTION:
            return None
        terms = market.terms
        return positions.Option(
            expiry=terms.expiry * 1000,
            strike=self.price(market, terms.strike_per_lot),
            cap=None if terms.is_put else self.price(market, terms.cap_per_lot),
            is_put=terms.is_put,
            collateral=self.price(market, terms.collateral),
        )

    def markets(self, domain: eip712.Domain, configuration: Configure | None) -> http.Markets:
        catalogue = self._catalogue
        window = configuration.window if configuration is not None else 0
        assets = [
            http.AssetInfo(
                id=asset.id,
                symbol=asset.symbol,
                decimals=asset.decimals,
                synth=hex_of(asset.synth),
                underlying=hex_of(asset.underlying),
            )
            for asset in catalogue.assets
        ]
        return http.Markets(
            domain=http.SigningDomain(
                name=eip712.NAME,
                version=eip712.VERSION,
                chain_id=domain.chain_id,
                verifying_contract=hex_of(domain.engine),
            ),
            fee_bps=catalogue.fee_bps,
            fee_change=_fee_change(catalogue),
            max_open_orders=configuration.max_open_orders if configuration is not None else 0,
            price_band_bps=configuration.price_band_bps if configuration is not None else 0,
            assets=[USDC_ASSET, *assets],
            markets=[self.market(listing, window) for listing in catalogue.markets],
        )

    def fees(self) -> http.Fees:
        catalogue = self._catalogue
        return http.Fees(fee_bps=catalogue.fee_bps, max_fee_bps=MAX_FEE_BPS, fee_change=_fee_change(catalogue))

    def oracle_price(self, market: Market, price: OraclePrice, now_ms: int) -> http.OraclePrice:
        conversion = price.conversion() if market.is_cross_quoted else None
        index = index_down(price.price, market.lot_size, market.decimals) if market.kind != Kind.SPOT else None
        return http.OraclePrice(
            market=market.symbol,
            asset=self.asset_symbol(market.quote if market.is_cross_quoted else market.base),
            price=format_units(price.price, PRICE_DECIMALS),
            conversion_rate=self.rate(conversion.rate) if conversion is not None else None,
            index_price=self.price_or_none(market, index),
            round=str(price.round),
            updated_at=price.updated_at * 1000,
            seen_at=price.seen_ms,
            usable=price.is_usable(now_ms),
        )

    def batch(self, row: BatchRow) -> http.BatchInfo:
        return http.BatchInfo(
            number=row.number,
            status=row.status,
            first_item=row.first,
            last_item=row.last,
            matched_at=row.matched_at,
            tx_hash=hex_or_none(row.tx_hash),
            gas_used=row.gas_used or None,
            reason=row.reason,
            updated_at=row.updated_ms,
        )


def _fee_change(catalogue: Catalogue) -> http.FeeChange | None:
    """What is scheduled and has not begun."""
    fees = catalogue.fees
    is_ahead = fees.at > 0 and fees.next != catalogue.fee_bps
    return http.FeeChange(fee_bps=fees.next, at=fees.at * 1000) if is_ahead else None


def _usdc_or_none(amount: int | None) -> str | None:
    return None if amount is None else format_units(amount, USDC_DECIMALS)


def _margined(market: Market) -> positions.Margined | None:
    if market.kind not in (Kind.PERP, Kind.FUTURE):
        return None
    terms = market.terms
    return positions.Margined(
        expiry=terms.expiry * 1000 or None,
        initial_margin_bps=terms.initial_margin_bps,
        maintenance_margin_bps=terms.maintenance_margin_bps,
        liquidation_fee_bps=terms.liquidation_fee_bps,
        exit_penalty_bps=terms.exit_penalty_bps,
        liquidation_band_bps=terms.band_bps,
        funding_cap=format_units(terms.funding_cap, RATE_DECIMALS),
        funding_interval=HOUR if market.kind == Kind.PERP else None,
        funding_period=terms.funding_period or None,
    )
