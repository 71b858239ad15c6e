// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {AccountSlot} from "../../contracts/libraries/AccountSlot.sol";
import {ClearingMarket, ClearingPosition, ClearingPositionLib} from "../../contracts/libraries/ClearingWords.sol";
import {DerivativeFill, DerivativeFillLib} from "../../contracts/libraries/DerivativeFill.sol";
import {DerivativeWord, DerivativeWordLib} from "../../contracts/libraries/DerivativeWord.sol";
import {MarketWord} from "../../contracts/libraries/MarketWord.sol";

/// @notice Packed words read back as they were written, and a field's writer leaves the others alone.
contract WordsTest {
    function check_account_slot(uint256 raw, uint128 shares, uint32 epoch, uint40 bumpAt, uint56 fees) external pure {
        AccountSlot before = AccountSlot.wrap(raw);
        AccountSlot slot = before.withShares(shares);
        assert(slot.shares() == shares && AccountSlot.unwrap(slot) << 128 == raw << 128);
        slot = before.withEpoch(epoch, bumpAt);
        assert(slot.epoch() == epoch && slot.epochBumpAt() == bumpAt);
        assert(slot.shares() == before.shares() && slot.feesPaid() == before.feesPaid());
        slot = before.withFeesPaid(fees);
        assert(slot.feesPaid() == fees && AccountSlot.unwrap(slot) >> 56 == raw >> 56);
    }

    function check_position_word(int64 size, int96 quote, int96 funding) external pure {
        ClearingPosition word = ClearingPositionLib.pack(size, quote, funding);
        assert(word.size() == size && word.quote() == quote && word.fundingIndex() == funding);
    }

    function check_clearing_market(uint256 raw, int96 funding, uint32 hour, uint8 state, uint64 settle, uint56 locked)
        external
        pure
    {
        ClearingMarket before = ClearingMarket.wrap(raw);
        ClearingMarket word = before.withFunding(funding, hour);
        assert(word.funding() == funding && word.lastHour() == hour);
        assert(ClearingMarket.unwrap(word) << 128 == raw << 128);
        word = before.withExpiry(state, settle, locked);
        assert(word.state() == state && word.settlePerLot() == settle && word.collateral() == locked);
        assert(ClearingMarket.unwrap(word) >> 128 == raw >> 128);
    }

    function check_derivative_fill(
        uint16 buyer,
        uint16 seller,
        uint16 market,
        uint8 flags,
        uint16 fill,
        uint56 price,
        uint40 quantity
    ) external pure {
        DerivativeFill word = DerivativeFillLib.make(buyer, seller, market, flags, fill, price, quantity);
        assert(word.buyer() == buyer && word.seller() == seller && word.market() == market && word.fill() == fill);
        assert(word.price() == price && word.quantity() == quantity);
        assert(word.isReduceOnly(false) == (flags & 1 != 0) && word.isReduceOnly(true) == (flags & 2 != 0));
        assert(word.isForced(false) == (flags & 4 != 0) && word.isForced(true) == (flags & 8 != 0));
    }

    function check_derivative_word(
        uint16 initial,
        uint16 maintenance,
        uint16 band,
        uint16 fee,
        uint40 expiry,
        uint56 strike,
        uint56 cap,
        bool isPut
    ) external pure {
        DerivativeWord word =
            DerivativeWordLib.pack(initial, maintenance, band, fee, 77, 88, expiry, strike, cap, isPut);
        assert(word.initialMarginBps() == initial && word.maintenanceMarginBps() == maintenance);
        assert(word.bandBps() == band && word.liquidationFeeBps() == fee);
        assert(word.exitPenaltyBps() == 77 && word.fundingCap() == 88);
        assert(word.expiry() == expiry && word.strikePerLot() == strike && word.capPerLot() == cap);
        assert(word.isPut() == isPut);
    }

    function check_market_status(uint256 raw, uint8 status, uint40 statusAt) external pure {
        MarketWord word = MarketWord.wrap(raw).withStatus(status, statusAt);
        assert(word.status() == status && word.statusAt() == statusAt);
        assert(MarketWord.unwrap(word) >> 216 == raw >> 216 && MarketWord.unwrap(word) << 88 == raw << 88);
    }
}
