// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @title  CXPT
/// @notice Governance and fee-rebate token, 6 decimals. One CXPT is backed by one USDC, the shares of the token's own
///         account in the Vault; it comes into being by a withdrawal as CXPT and ends by redemption, both through the
///         WithdrawalQueue. It moves only between a wallet and the exchange's custody, and only when the custodian
///         itself, Engine or WithdrawalQueue, makes the transfer: no CXPT is stranded by a transfer to a contract.
///         Votes count seconds (EIP-6372, timestamp) and need a delegation, be it to oneself. CXPT in custody does not
///         vote.
interface ICXPT is IERC20Metadata {
    error ZeroAddress();
    error NotConnected();
    error NotVault(address caller);
    /// @dev Neither side of the transfer is the custodian that makes it.
    error NotCustody(address caller);

    /// @notice Create `amount` in `account`'s wallet. Vault only, which has put as much into the reserve.
    function mint(address account, uint256 amount) external;

    /// @notice Destroy `amount` of what the WithdrawalQueue holds. Vault only, which pays as much from the reserve.
    function burn(uint256 amount) external;

    /// @return held   USDC of the reserve
    /// @return issued the supply that it backs, never more
    function reserve() external view returns (uint256 held, uint256 issued);

    function vault() external view returns (address);

    /// @return custodian of spot balances
    function engine() external view returns (address);

    /// @return custodian of CXPT in redemption; it needs no allowance
    function queue() external view returns (address);
}
