// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Test token of the early kind: bytes32 name and symbol, transfers that answer nothing
/// @notice For tests only.
contract MockSilentToken {
    bytes32 public constant name = "Silent Token";
    bytes32 public constant symbol = "SILENT";
    uint8 public constant decimals = 6;

    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
