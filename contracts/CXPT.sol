// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {ICXPT} from "./interfaces/ICXPT.sol";
import {IVault} from "./interfaces/IVault.sol";

/// @title  CXPT
/// @notice Governance and fee-rebate token, backed 1:1 by USDC in the Vault; see ICXPT. It has no owner and cannot be
///         upgraded.
contract CXPT is ERC20Permit, ERC20Votes, ICXPT {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc ICXPT
    address public immutable override vault;

    /// @inheritdoc ICXPT
    address public immutable override engine;

    /// @inheritdoc ICXPT
    address public immutable override queue;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    /// @param vault_ the Vault, which knows its Engine and WithdrawalQueue already
    constructor(address vault_) ERC20("Crosspoint", "CXPT") ERC20Permit("Crosspoint") {
        if (vault_ == address(0)) revert ZeroAddress();
        vault = vault_;
        engine = IVault(vault_).engine();
        queue = IVault(vault_).queue();
        if (engine == address(0)) revert NotConnected();
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Supply
    // ---------------------------------------------------------------------------------------------------------------

    modifier onlyVault() {
        if (msg.sender != vault) revert NotVault(msg.sender);
        _;
    }

    /// @inheritdoc ICXPT
    function mint(address account, uint256 amount) external onlyVault {
        _mint(account, amount);
    }

    /// @inheritdoc ICXPT
    function burn(uint256 amount) external onlyVault {
        _burn(queue, amount);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc ICXPT
    function reserve() external view returns (uint256 held, uint256 issued) {
        return (IVault(vault).sharesOf(address(this)), totalSupply());
    }

    /// @notice Those of USDC: one quantum is one micro-USDC.
    function decimals() public pure override(ERC20, IERC20Metadata) returns (uint8) {
        return 6;
    }

    /// @notice Time at which votes are counted: Unix seconds.
    function clock() public view override returns (uint48) {
        // The cast is exact for millions of years.
        return uint48(block.timestamp);
    }

    /// @notice EIP-6372 description of `clock`.
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    /// @notice Next nonce of a permit or of a delegation by signature.
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Every transfer is made by a custodian that is one side of it; supply changes come from the Vault.
    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        if (from != address(0) && to != address(0)) {
            bool isCustodian = msg.sender == engine || msg.sender == queue;
            if (!isCustodian || (msg.sender != from && msg.sender != to)) revert NotCustody(msg.sender);
        }
        super._update(from, to, value);
    }

    /// @dev The queue takes what its owner asks it to redeem; it cannot be made to take anything else.
    function _spendAllowance(address owner, address spender, uint256 value) internal override {
        if (spender != queue) super._spendAllowance(owner, spender, value);
    }
}
