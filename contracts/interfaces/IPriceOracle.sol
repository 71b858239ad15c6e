// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  The price of one asset in rounds
/// @notice Prices are USD per whole unit with 18 decimals. A round has an id, a price and the time at which it came
///         (`updatedAt`, Unix seconds); its successor is the next complete round of the feed. A caller names the round,
///         the oracle says whether it is the right one for a time, so that a settlement is bound to one price.
interface IPriceOracle {
    /// @dev The latest round is older than the feed may be silent, or lies in the future.
    error StalePrice(uint80 round, uint40 updatedAt);
    /// @dev The price, 18 decimals, is outside of what the oracle was told to believe.
    error PriceOutOfBounds(uint80 round, uint256 price);
    /// @dev The feed answered zero or less, or a number that 18 decimals cannot express.
    error InvalidAnswer(uint80 round, int256 answer);
    /// @dev The latest round has no answer of its own.
    error IncompleteRound(uint80 round);
    /// @dev `round` is unknown, or not the one that `time` asks for.
    error WrongRound(uint80 round, uint40 time);
    /// @dev The chain's sequencer is down.
    error SequencerDown();
    /// @dev The chain's sequencer is up since `since`, which is not long enough.
    error SequencerGracePeriod(uint256 since);

    /// @notice The newest round, if it is fresh.
    function latest() external view returns (uint80 round, uint256 price, uint40 updatedAt);

    /// @notice The price of `round`, which was held at `time`: the latest with updatedAt <= time, or one whose successor
    ///         came less than 60 s before `time`; at `time` it must not be older than the feed may be silent.
    function priceAt(uint80 round, uint40 time) external view returns (uint256 price);

    /// @notice The price of the one round with updatedAt <= time < updatedAt of its successor, however old. The
    ///         successor must have come, so the answer is the same for ever.
    function priceAcross(uint80 round, uint40 time) external view returns (uint256 price);
}
