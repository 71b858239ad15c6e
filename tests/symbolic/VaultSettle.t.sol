// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {UpgradeableProxy} from "../../contracts/UpgradeableProxy.sol";
import {Vault} from "../../contracts/Vault.sol";
import {MockUSDC} from "../../contracts/mocks/MockUSDC.sol";

/// @notice Share arithmetic of the real Vault behind its real proxy. This contract is owner, queue and Engine.
contract VaultSettleTest {
    address private constant MAKER = address(0xa1);
    address private constant TAKER = address(0xb2);
    uint32 private constant NOTHING_SIGNED = type(uint32).max;

    MockUSDC private usdc;
    Vault private vault;

    function setUp() external {
        usdc = new MockUSDC();
        Vault implementation = new Vault(address(usdc));
        vault = Vault(
            address(new UpgradeableProxy(address(implementation), abi.encodeCall(Vault.initialize, (address(this)))))
        );
        vault.connect(address(this), address(this));
    }

    /// @dev Accepted deltas move exactly what they say, and the sum of all shares stays what was deposited.
    function check_settle_makes_no_value(
        uint120 makerDeposit,
        uint120 takerDeposit,
        bool isOneAccount,
        int256 first,
        int256 second
    ) external {
        _deposit(MAKER, makerDeposit);
        _deposit(TAKER, takerDeposit);
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (MAKER, isOneAccount ? MAKER : TAKER);
        if (!_settle(accounts, first, second)) return;
        assert(first == -second);
        (uint256 maker, uint256 taker) = (vault.sharesOf(MAKER), vault.sharesOf(TAKER));
        assert(maker + taker == uint256(makerDeposit) + takerDeposit);
        assert(vault.totalAssets() == maker + taker);
        if (isOneAccount) assert(maker == makerDeposit);
        else assert(int256(maker) == int256(uint256(makerDeposit)) + first);
    }

    /// @dev Whoever has the shares can be debited up to the last of them, and not one more.
    function check_settle_refuses_only_what_is_not_there(uint120 makerDeposit, uint120 takerDeposit, uint128 amount)
        external
    {
        _deposit(MAKER, makerDeposit);
        _deposit(TAKER, takerDeposit);
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (MAKER, TAKER);
        bool accepted = _settle(accounts, -int256(uint256(amount)), int256(uint256(amount)));
        assert(accepted == (amount <= makerDeposit));
    }

    /// @dev What is paid out leaves the account, the total and the Vault's own balance alike.
    function check_pay_out_takes_what_it_pays(uint120 deposited, uint256 asked) external {
        _deposit(MAKER, deposited);
        uint256 paid = vault.payOut(MAKER, asked);
        assert(paid == (asked < deposited ? asked : deposited));
        assert(vault.sharesOf(MAKER) == deposited - paid);
        assert(vault.totalAssets() == deposited - paid);
        assert(usdc.balanceOf(address(vault)) == deposited - paid);
        assert(usdc.balanceOf(MAKER) == paid);
    }

    function _deposit(address account, uint256 assets) private {
        if (assets == 0) return;
        usdc.mint(address(this), assets);
        usdc.approve(address(vault), assets);
        vault.deposit(assets, account);
    }

    function _settle(address[] memory accounts, int256 first, int256 second) private returns (bool accepted) {
        uint32[] memory epochs = new uint32[](2);
        (epochs[0], epochs[1]) = (NOTHING_SIGNED, NOTHING_SIGNED);
        int256[] memory deltas = new int256[](2);
        (deltas[0], deltas[1]) = (first, second);
        try vault.settle(accounts, epochs, deltas) {
            return true;
        } catch {
            return false;
        }
    }
}
