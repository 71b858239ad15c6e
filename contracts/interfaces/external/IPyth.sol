// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  The part of the Pyth contract that PythOracle uses
interface IPyth {
    /// @dev value * 10^expo, with a confidence interval of +- conf * 10^expo.
    struct Price {
        int64 value;
        uint64 conf;
        int32 expo;
        uint256 publishTime;
    }

    struct PriceFeed {
        bytes32 id;
        Price price;
        Price emaPrice;
    }

    function getUpdateFee(bytes[] calldata updateData) external view returns (uint256 fee);

    /// @notice Verify signed updates and answer the prices of `ids`, each published within the times given (inclusive).
    function parsePriceFeedUpdates(
        bytes[] calldata updateData,
        bytes32[] calldata ids,
        uint64 minPublishTime,
        uint64 maxPublishTime
    ) external payable returns (PriceFeed[] memory feeds);
}
