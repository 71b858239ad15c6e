"""Deposits and withdrawal requests: the trader's own transactions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception

from offchain.api.schemas.http import AssetInfo, Markets
from offchain.chain.abi import decode_error, encode_call
from offchain.domain.units import format_units, parse_units

KIND_INSTRUMENT = 2
"""`IWithdrawalQueue.Kind`"""

RECEIPT_SECONDS = 120.0


class WalletError(Exception):
    """What was asked for cannot be done, or failed on chain."""


class Wallet:
    """One account's way onto the chain. What was sent is waited for."""

    def __init__(self, rpc_url: str, private_key: str, listed: Markets) -> None:
        """Raises WalletError for a node of another chain and for an invalid key."""
        self._web3 = Web3(HTTPProvider(rpc_url))
        self._listed = listed
        try:
            self._account = Account.from_key(private_key)
            chain_id = self._web3.eth.chain_id
        except (ValueError, OSError, Web3Exception) as error:
            raise WalletError(f"{rpc_url}: {error}") from error
        if chain_id != listed.domain.chain_id:
            raise WalletError(f"{rpc_url} is chain {chain_id}, the exchange is on chain {listed.domain.chain_id}")
        self._engine = listed.domain.verifying_contract

    def deposit(self, symbol: str, amount: Decimal) -> list[str]:
        """Approve and deposit, wrapping the underlying of an asset first. Hashes of the transactions."""
        asset = self._asset(symbol)
        quanta = _quanta(amount, asset)
        if asset.synth is None:
            vault = self._address_at(self._engine, "vault()")
            usdc = self._address_at(vault, "asset()")
            self._check_balance(usdc, quanta, asset)
            return [
                self._send(usdc, "approve(address,uint256)", vault, quanta),
                self._send(vault, "deposit(uint256,address)", quanta, self._account.address),
            ]
        hashes = []
        missing = quanta - self._balance(asset.synth)
        if missing > 0:
            if asset.underlying is None:
                raise WalletError(f"the wallet has not enough {asset.symbol}")
            self._check_balance(asset.underlying, missing, asset)
            hashes.append(self._send(asset.underlying, "approve(address,uint256)", asset.synth, missing))
            hashes.append(self._send(asset.synth, "depositFor(address,uint256)", self._account.address, missing))
        hashes.append(self._send(asset.synth, "approve(address,uint256)", self._engine, quanta))
        hashes.append(self._send(self._engine, "deposit(uint32,uint256)", asset.id, quanta))
        return hashes

    def withdraw(self, symbol: str, amount: Decimal, as_cxpt: bool = False) -> list[str]:
        """Request a withdrawal. Hash of the transaction."""
        asset = self._asset(symbol)
        quanta = _quanta(amount, asset)
        if asset.synth is None:
            vault = self._address_at(self._engine, "vault()")
            return [self._send(vault, "withdraw(uint256,bool)", quanta, as_cxpt)]
        if as_cxpt:
            raise WalletError("only USDC can be withdrawn as CXPT")
        queue = self._address_at(self._engine, "queue()")
        return [self._send(queue, "request(uint8,uint32,uint256)", KIND_INSTRUMENT, asset.id, quanta)]

    def _asset(self, symbol: str) -> AssetInfo:
        for asset in self._listed.assets:
            if asset.symbol == symbol:
                return asset
        known = ", ".join(asset.symbol for asset in self._listed.assets)
        raise WalletError(f"there is no asset {symbol!r}; there are {known}")

    def _check_balance(self, token: str, quanta: int, asset: AssetInfo) -> None:
        held = self._balance(token)
        if held < quanta:
            raise WalletError(
                f"the wallet has {format_units(held, asset.decimals)} {asset.symbol} that can be deposited"
            )

    def _address_at(self, contract: str, call: str) -> str:
        word = self._call(contract, encode_call(call))
        return Web3.to_checksum_address(word[-20:])

    def _balance(self, token: str) -> int:
        return int.from_bytes(self._call(token, encode_call("balanceOf(address)", self._account.address)))

    def _call(self, to: str, data: bytes) -> bytes:
        try:
            return bytes(self._web3.eth.call({"to": Web3.to_checksum_address(to), "data": data}))
        except (OSError, Web3Exception) as error:
            raise WalletError(_reason(error)) from error

    def _send(self, to: str, call: str, *arguments: Any) -> str:
        """Sign and send, and wait until it is mined."""
        transaction: dict[str, Any] = {
            "from": self._account.address,
            "to": Web3.to_checksum_address(to),
            "data": encode_call(call, *arguments),
            "chainId": self._listed.domain.chain_id,
        }
        try:
            transaction["nonce"] = self._web3.eth.get_transaction_count(self._account.address)
            transaction["gas"] = self._web3.eth.estimate_gas(transaction) * 5 // 4  # type: ignore[arg-type]
            transaction["maxPriorityFeePerGas"] = self._web3.eth.max_priority_fee
            base = self._web3.eth.get_block("latest")["baseFeePerGas"]
            transaction["maxFeePerGas"] = 2 * base + transaction["maxPriorityFeePerGas"]
            signed = self._account.sign_transaction(transaction)
            sent = self._web3.eth.send_raw_transaction(signed.raw_transaction)
            receipt = self._web3.eth.wait_for_transaction_receipt(sent, timeout=RECEIPT_SECONDS)
        except (OSError, Web3Exception) as error:
            raise WalletError(f"{call.partition('(')[0]}: {_reason(error)}") from error
        if receipt["status"] != 1:
            raise WalletError(f"{call.partition('(')[0]} failed in transaction {Web3.to_hex(sent)}")
        return Web3.to_hex(sent)


def _quanta(amount: Decimal, asset: AssetInfo) -> int:
    try:
        return parse_units(f"{amount:f}", asset.decimals)
    except ValueError as error:
        raise WalletError(f"{amount:f} {asset.symbol} {error}") from error


def _reason(error: Exception) -> str:
    """A contract's error by its name, else what the node says."""
    data = error.data if isinstance(error, ContractCustomError | ContractLogicError) else None
    if isinstance(data, str) and data.startswith("0x"):
        name, arguments = decode_error(bytes.fromhex(data[2:]))
        if name:
            return f"{name}({', '.join(map(str, arguments))})"
    return str(error)
