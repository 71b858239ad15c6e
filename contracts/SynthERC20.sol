// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ISynth} from "./interfaces/ISynth.sol";

/// @title  SynthERC20
/// @notice 1:1-backed ERC-20 over one underlying ERC-20. Nobody has a role in it. Its only argument is the underlying
///         and the constructor does not look at its caller, so the canonical CREATE2 deployer puts the synth of an
///         underlying at one address, whoever sends the transaction; the MarketRegistry accepts only that address.
contract SynthERC20 is ERC20Permit, ReentrancyGuardTransient, ISynth {
    using SafeERC20 for IERC20;

    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Bytes of a short string.
    uint256 private constant MAX_DOMAIN_NAME = 31;

    /// @inheritdoc ISynth
    address public immutable override underlying;

    uint8 private immutable _decimals;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    /// @param token the underlying; it must answer `decimals()`, `name()` and `symbol()`
    constructor(IERC20Metadata token)
        ERC20(string.concat("Crosspoint ", _text(token, true)), string.concat("x", _text(token, false)))
        ERC20Permit(_domainName(string.concat("Crosspoint ", _text(token, true))))
    {
        underlying = address(token);
        _decimals = token.decimals();
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Deposit and withdrawal
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc ISynth
    /// @dev What arrived is known only after the transfer, so the mint follows it; the guard keeps a token that calls
    ///      back from counting one arrival twice.
    function depositFor(address account, uint256 amount) external nonReentrant returns (uint256 minted) {
        if (account == address(this)) revert ERC20InvalidReceiver(account);
        uint256 before = _checkedReserve();
        IERC20(underlying).safeTransferFrom(msg.sender, address(this), amount);
        minted = _reserve() - before;
        if (minted == 0) revert ZeroAmount();
        _mint(account, minted);
        emit SynthDeposited(msg.sender, account, minted);
    }

    /// @inheritdoc ISynth
    function withdrawTo(address account, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        uint256 before = _checkedReserve();
        _burn(msg.sender, amount);
        uint256 paid = _pay(account, amount, before);
        if (paid != amount) revert BackingMismatch(amount, paid);
        emit SynthWithdrawn(msg.sender, account, amount);
    }

    /// @inheritdoc ISynth
    function withdrawShareTo(address account, uint256 amount) external nonReentrant returns (uint256 paid) {
        if (account == address(this)) revert ERC20InvalidReceiver(account);
        uint256 before = _reserve();
        uint256 supply = totalSupply();
        uint256 share = before < supply ? Math.mulDiv(amount, before, supply) : amount;
        if (share == 0) revert ZeroAmount();
        _burn(msg.sender, amount);
        paid = _pay(account, share, before);
        if (paid > share) revert BackingMismatch(share, paid);
        emit SynthShareWithdrawn(msg.sender, account, amount, paid);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Decimals of the underlying.
    function decimals() public view override(ERC20, IERC20Metadata) returns (uint8) {
        return _decimals;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _reserve() private view returns (uint256) {
        return IERC20(underlying).balanceOf(address(this));
    }

    /// @dev The reserve, which backs the whole supply.
    function _checkedReserve() private view returns (uint256 reserve) {
        reserve = _reserve();
        uint256 supply = totalSupply();
        if (reserve < supply) revert Underbacked(reserve, supply);
    }

    /// @dev Transfer `amount` of the underlying out of a reserve of `before`. Returns what it cost the reserve.
    function _pay(address account, uint256 amount, uint256 before) private returns (uint256) {
        IERC20(underlying).safeTransfer(account, amount);
        return before - _reserve();
    }

    /// @dev A name as the domain of permits has it, which holds 31 bytes: a longer one is cut before the character that
    ///      does not fit. ERC-5267's `eip712Domain` says what is signed.
    function _domainName(string memory name_) private pure returns (string memory) {
        bytes memory whole = bytes(name_);
        if (whole.length <= MAX_DOMAIN_NAME) return name_;
        uint256 length = MAX_DOMAIN_NAME;
        // All bytes of a character but its first begin with the bits 10 (UTF-8). The prefix is of single bytes.
        while (whole[length] & 0xc0 == 0x80) --length;
        return string(Bytes.slice(whole, 0, length));
    }

    /// @dev The underlying's name or symbol. Early tokens answer a bytes32 instead of a string.
    function _text(IERC20Metadata token, bool isName) private view returns (string memory) {
        bytes memory call = isName ? abi.encodeCall(token.name, ()) : abi.encodeCall(token.symbol, ());
        (bool success, bytes memory answer) = address(token).staticcall(call);
        if (!success || answer.length < 32) revert NotAToken(address(token));
        if (answer.length > 32) return abi.decode(answer, (string));
        uint256 length;
        while (length < 32 && answer[length] != 0) ++length;
        return string(Bytes.slice(answer, 0, length));
    }
}
