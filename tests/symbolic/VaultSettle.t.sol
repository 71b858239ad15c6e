// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {UpgradeableProxy} from "../../contracts/UpgradeableProxy.sol";
import {Vault} from "../../contracts/Vault.sol";
import {MockUSDC} from "../../contracts/mocks/MockUSDC.sol";

/// @notice Share arithmetic of the real Vault behind its real proxy. This contract is owner, queue and Engine.
contract VaultSettleTest {
    uint256 private constant MAKER = 0xa1;
    uint256 private constant TAKER = 0xb2;
    uint256 private constant NOTHING_SIGNED = type(uint32).max;

    MockUSDC private usdc;
    Vault private vault;

    function setUp() external {
        usdc = new MockUSDC();
        Vault implementation = new Vault(address(usdc));
        vault = Vault(
            address(new UpgradeableProxy(address(implementation), abi.encodeCall(Vault.initialize, (address(this)))))
        );
        vault.connect(address(this), address(this), address(0xc1), address(0xc2));
    }

    /// @dev Accepted deltas move exactly what they say, and the sum of all shares stays what was deposited.
    function check_settle_makes_no_value(
        uint120 makerDeposit,
        uint120 takerDeposit,
        bool isOneAccount,
        int256 first,
        int256 second,
        uint64 fees
    ) external {
        _deposit(MAKER, makerDeposit);
        _deposit(TAKER, takerDeposit);
        if (!_settle(isOneAccount ? MAKER : TAKER, first, second, fees)) return;
        assert(first == -second);
        (uint256 maker, uint256 taker) = (_shares(MAKER), _shares(TAKER));
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
        bool accepted = _settle(TAKER, -int256(uint256(amount)), int256(uint256(amount)), 0);
        assert(accepted == (amount <= makerDeposit));
    }

    /// @dev Another epoch than the account's is refused; the mark of an account that signed nothing is not compared.
    function check_settle_compares_the_epoch(uint32 epoch) external {
        uint256[] memory entries = new uint256[](1);
        entries[0] = (MAKER << 96) | (uint256(epoch) << 64);
        try vault.settle(entries, new int256[](1)) {
            assert(epoch == 0 || epoch == NOTHING_SIGNED);
        } catch {
            assert(epoch != 0 && epoch != NOTHING_SIGNED);
        }
    }

    /// @dev What is paid out leaves the account, the total and the Vault's own balance alike.
    function check_pay_out_takes_what_it_pays(uint120 deposited, uint256 asked) external {
        _deposit(MAKER, deposited);
        uint256 paid = vault.payOut(address(uint160(MAKER)), asked);
        assert(paid == (asked < deposited ? asked : deposited));
        assert(_shares(MAKER) == deposited - paid);
        assert(vault.totalAssets() == deposited - paid);
        assert(usdc.balanceOf(address(vault)) == deposited - paid);
        assert(usdc.balanceOf(address(uint160(MAKER))) == paid);
    }

    function _deposit(uint256 account, uint256 assets) private {
        if (assets == 0) return;
        usdc.mint(address(this), assets);
        usdc.approve(address(vault), assets);
        vault.deposit(assets, address(uint160(account)));
    }

    function _settle(uint256 other, int256 first, int256 second, uint64 fees) private returns (bool accepted) {
        uint256[] memory entries = new uint256[](2);
        entries[0] = (MAKER << 96) | (NOTHING_SIGNED << 64) | fees;
        entries[1] = (other << 96) | (NOTHING_SIGNED << 64);
        int256[] memory deltas = new int256[](2);
        (deltas[0], deltas[1]) = (first, second);
        try vault.settle(entries, deltas) {
            return true;
        } catch {
            return false;
        }
    }

    function _shares(uint256 account) private view returns (uint256) {
        return vault.sharesOf(address(uint160(account)));
    }
}
