// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Test token whose balances everybody can scale
/// @notice Balances are parts of a whole that grows or shrinks, as with staked or elastic tokens. For tests only.
contract MockRebasingToken {
    string public constant name = "Rebasing Token";
    string public constant symbol = "REBASE";
    uint8 public constant decimals = 18;

    /// @notice Quanta per part, with 18 decimals.
    uint256 public scale = 1e18;

    mapping(address account => uint256) public partsOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function rebase(uint256 scale_) external {
        scale = scale_;
    }

    function mint(address account, uint256 amount) external {
        partsOf[account] += _toParts(amount);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function balanceOf(address account) external view returns (uint256) {
        return partsOf[account] * scale / 1e18;
    }

    function _move(address from, address to, uint256 amount) private {
        uint256 parts = _toParts(amount);
        partsOf[from] -= parts;
        partsOf[to] += parts;
    }

    function _toParts(uint256 amount) private view returns (uint256) {
        return amount * 1e18 / scale;
    }
}
