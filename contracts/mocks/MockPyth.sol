// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IPyth} from "../interfaces/external/IPyth.sol";

/// @title  Test Pyth: takes an ABI-encoded PriceFeed for a signed update
/// @notice For test networks only.
contract MockPyth is IPyth {
    uint256 public immutable feePerUpdate;

    error InsufficientFee();
    error PriceFeedNotFoundWithinRange();

    constructor(uint256 feePerUpdate_) {
        feePerUpdate = feePerUpdate_;
    }

    function encodeUpdate(PriceFeed calldata feed) external pure returns (bytes memory) {
        return abi.encode(feed);
    }

    function parsePriceFeedUpdates(
        bytes[] calldata updateData,
        bytes32[] calldata ids,
        uint64 minPublishTime,
        uint64 maxPublishTime
    ) external payable override returns (PriceFeed[] memory feeds) {
        if (msg.value < getUpdateFee(updateData)) revert InsufficientFee();
        feeds = new PriceFeed[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            feeds[i] = _find(updateData, ids[i], minPublishTime, maxPublishTime);
        }
    }

    function getUpdateFee(bytes[] calldata updateData) public view override returns (uint256) {
        return updateData.length * feePerUpdate;
    }

    function _find(bytes[] calldata updateData, bytes32 id, uint64 minTime, uint64 maxTime)
        private
        pure
        returns (PriceFeed memory feed)
    {
        for (uint256 i; i < updateData.length; ++i) {
            feed = abi.decode(updateData[i], (PriceFeed));
            if (feed.id == id && feed.price.publishTime >= minTime && feed.price.publishTime <= maxTime) return feed;
        }
        revert PriceFeedNotFoundWithinRange();
    }
}
