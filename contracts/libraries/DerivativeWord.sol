// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice What the clearinghouse needs to know of a derivative market, in one storage word. It never changes.
///
///   255              240 239                  224 223    208 207               192 191           176
///  +--------------------+------------------------+----------+---------------------+-----------------+
///  |initialMarginBps 16 |maintenanceMarginBps 16 |bandBps 16|liquidationFeeBps 16 |exitPenaltyBps 16|
///  +--------------------+------------------------+----------+---------------------+-----------------+
///   175        160 159       120 119             64 63             8 7       0
///  +--------------+-------------+------------------+----------------+---------+
///  |fundingCap 16 | expiry 40   | strikePerLot 56  | capPerLot 56   | isPut 8 |
///  +--------------+-------------+------------------+----------------+---------+
///
/// Basis points are of the notional; fundingCap is in 1e-8 per hour; expiry in Unix seconds; strikePerLot and capPerLot
/// in micro-USDC per lot. What a kind does not use is zero: margins, band, fee and penalty belong to perpetuals and
/// futures, fundingCap to perpetuals, expiry to futures and options, the rest to options. The word of a market that is
/// no derivative is zero.
type DerivativeWord is uint256;

using DerivativeWordLib for DerivativeWord global;

/// @title  Accessors of the derivative word
library DerivativeWordLib {
    uint256 private constant INITIAL_MARGIN_SHIFT = 240;
    uint256 private constant MAINTENANCE_MARGIN_SHIFT = 224;
    uint256 private constant BAND_SHIFT = 208;
    uint256 private constant LIQUIDATION_FEE_SHIFT = 192;
    uint256 private constant EXIT_PENALTY_SHIFT = 176;
    uint256 private constant FUNDING_CAP_SHIFT = 160;
    uint256 private constant EXPIRY_SHIFT = 120;
    uint256 private constant STRIKE_SHIFT = 64;
    uint256 private constant CAP_SHIFT = 8;

    function pack(
        uint16 initialMarginBps_,
        uint16 maintenanceMarginBps_,
        uint16 bandBps_,
        uint16 liquidationFeeBps_,
        uint16 exitPenaltyBps_,
        uint16 fundingCap_,
        uint40 expiry_,
        uint56 strikePerLot_,
        uint56 capPerLot_,
        bool isPut_
    ) internal pure returns (DerivativeWord) {
        return DerivativeWord.wrap(
            (uint256(initialMarginBps_) << INITIAL_MARGIN_SHIFT)
                | (uint256(maintenanceMarginBps_) << MAINTENANCE_MARGIN_SHIFT) | (uint256(bandBps_) << BAND_SHIFT)
                | (uint256(liquidationFeeBps_) << LIQUIDATION_FEE_SHIFT)
                | (uint256(exitPenaltyBps_) << EXIT_PENALTY_SHIFT) | (uint256(fundingCap_) << FUNDING_CAP_SHIFT)
                | (uint256(expiry_) << EXPIRY_SHIFT) | (uint256(strikePerLot_) << STRIKE_SHIFT)
                | (uint256(capPerLot_) << CAP_SHIFT) | (isPut_ ? 1 : 0)
        );
    }

    function initialMarginBps(DerivativeWord word) internal pure returns (uint16) {
        return uint16(DerivativeWord.unwrap(word) >> INITIAL_MARGIN_SHIFT);
    }

    function maintenanceMarginBps(DerivativeWord word) internal pure returns (uint16) {
        return uint16(DerivativeWord.unwrap(word) >> MAINTENANCE_MARGIN_SHIFT);
    }

    /// @notice How far from the index a liquidation or the fund may trade.
    function bandBps(DerivativeWord word) internal pure returns (uint16) {
        return uint16(DerivativeWord.unwrap(word) >> BAND_SHIFT);
    }

    function liquidationFeeBps(DerivativeWord word) internal pure returns (uint16) {
        return uint16(DerivativeWord.unwrap(word) >> LIQUIDATION_FEE_SHIFT);
    }

    function exitPenaltyBps(DerivativeWord word) internal pure returns (uint16) {
        return uint16(DerivativeWord.unwrap(word) >> EXIT_PENALTY_SHIFT);
    }

    /// @notice Bound of the absolute funding rate, in 1e-8 per hour.
    function fundingCap(DerivativeWord word) internal pure returns (uint16) {
        return uint16(DerivativeWord.unwrap(word) >> FUNDING_CAP_SHIFT);
    }

    /// @notice Unix seconds; 0 for a perpetual.
    function expiry(DerivativeWord word) internal pure returns (uint40) {
        return uint40(DerivativeWord.unwrap(word) >> EXPIRY_SHIFT);
    }

    function strikePerLot(DerivativeWord word) internal pure returns (uint56) {
        return uint56(DerivativeWord.unwrap(word) >> STRIKE_SHIFT);
    }

    /// @notice The index at which a call pays its most; 0 for a put.
    function capPerLot(DerivativeWord word) internal pure returns (uint56) {
        return uint56(DerivativeWord.unwrap(word) >> CAP_SHIFT);
    }

    function isPut(DerivativeWord word) internal pure returns (bool) {
        return DerivativeWord.unwrap(word) & 1 != 0;
    }

    /// @notice What the seller of an option locks and the most that it pays, in micro-USDC per lot.
    function collateralPerLot(DerivativeWord word) internal pure returns (uint56) {
        return isPut(word) ? strikePerLot(word) : capPerLot(word) - strikePerLot(word);
    }
}
