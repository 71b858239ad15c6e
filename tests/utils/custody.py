"""The custody contracts on chain for tests: Vault, queue and CXPT, with the real Engine and registry.

The Clearinghouse and OrderControl are plain accounts, to call the Vault as these do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_behind_proxy, deploy_create2

USDC, USDC_AS_CXPT, INSTRUMENT, CXPT_REDEEM = range(4)
NOTHING_SIGNED = 2**32 - 1
WINDOW = 3600
REDEEM_DELAY = 48 * 3600
ZERO = "0x" + "00" * 20


@dataclass(frozen=True)
class Custody:
    usdc: ContractInstance
    token: ContractInstance  # calls back in transfers
    synth: ContractInstance
    registry: ContractInstance
    vault: ContractInstance
    engine: ContractInstance
    queue: ContractInstance
    cxpt: ContractInstance
    instrument: int
    cxpt_instrument: int
    operator: AccountAPI
    clearinghouse: AccountAPI
    order_control: AccountAPI

    def deposit_usdc(self, account: AccountAPI, amount: int) -> None:
        self.usdc.mint(account, amount, sender=account)
        self.usdc.approve(self.vault, amount, sender=account)
        self.vault.deposit(amount, account, sender=account)

    def deposit_synth(self, account: AccountAPI, amount: int) -> None:
        self.token.mint(account, amount, sender=account)
        self.token.approve(self.synth, amount, sender=account)
        self.synth.depositFor(account, amount, sender=account)
        self.synth.approve(self.engine, amount, sender=account)
        self.engine.deposit(self.instrument, amount, sender=account)

    def give_cxpt(self, account: AccountAPI, amount: int) -> None:
        """Deposit USDC and have it released to the account's wallet as CXPT."""
        self.deposit_usdc(account, amount)
        self.vault.withdraw(amount, True, sender=account)
        self.queue.release(account, USDC_AS_CXPT, 0, amount, sender=self.operator)

    def charge_fees(self, account: AccountAPI, fees: int) -> None:
        """Let the account pay fees, as a batch does."""
        self.deposit_usdc(account, fees)
        entries = [entry(account, fees=fees), entry(self.engine)]
        self.vault.settle(entries, [-fees, fees], sender=self.clearinghouse)


def entry(account: Any, epoch: int = NOTHING_SIGNED, fees: int = 0) -> int:
    """A settle entry: account 160 | epoch 32 | fees 64."""
    address = account if isinstance(account, str) else account.address
    return int(address, 16) << 96 | epoch << 64 | fees


def delegate(cxpt: ContractInstance, holder: AccountAPI, voter: AccountAPI) -> None:
    """Delegate the holder's votes. Ape's contract instances have another attribute of the method's name."""
    cxpt.invoke_transaction("delegate", voter, sender=holder)


def deploy_custody(
    project: ProjectManager,
    owner: AccountAPI,
    operator: AccountAPI,
    guardian: AccountAPI,
    others: list[AccountAPI],
    with_cxpt: bool = True,
    lists_cxpt: bool = True,
) -> Custody:
    """Deploy and wire everything; `others` stand for Clearinghouse and OrderControl."""
    clearinghouse, order_control = others
    usdc = owner.deploy(project.MockUSDC)
    token = owner.deploy(project.MockCallbackToken)
    synth = deploy_create2(owner, project.SynthERC20, token.address)
    registry = owner.deploy(project.MarketRegistry, owner, guardian)
    proxy = project.UpgradeableProxy
    vault = deploy_behind_proxy(owner, project.Vault, proxy, (usdc.address,), (owner.address,))
    roles = (owner.address, operator.address, guardian.address, 50)
    packer = owner.deploy(project.BatchPacker)
    parts = (vault.address, registry.address, packer.address)
    engine = deploy_behind_proxy(owner, project.Engine, proxy, parts, roles)
    queue = owner.deploy(project.WithdrawalQueue, vault, engine, registry)
    vault.connect(engine, queue, clearinghouse, order_control, sender=owner)
    engine.connect(queue, order_control, clearinghouse, sender=owner)
    cxpt = owner.deploy(project.CXPT, vault)
    if with_cxpt:
        vault.setCxpt(cxpt, sender=owner)
    registry.setCxpt(cxpt, sender=owner)
    for base in (synth, cxpt) if lists_cxpt else (synth,):
        registry.registerAsset(base, sender=owner)
    ids = registry.assetId(synth), registry.assetId(cxpt)
    contracts = (usdc, token, synth, registry, vault, engine, queue, cxpt)
    return Custody(*contracts, *ids, operator, clearinghouse, order_control)
