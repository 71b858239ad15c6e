// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  The settlement engine
/// @notice Settles fills that were matched off chain. The operator chooses which fills and when; this contract checks
///         everything else again: signatures, market, side, limit price, quantity, expiry, nonce, epoch, fee cap and
///         balances. It also holds the spot balances (in synths) and the state of every order.
///
/// # Units
/// Prices are micro-USDC per lot, quantities are lots, balances are quanta of 10^-quantityDecimals of the base asset,
/// times are Unix seconds. In a cross-quoted market prices are 10^-12 whole quote units per lot, and conversion limits
/// and the rate are micro-USDC per whole quote unit.
///
/// # Packed batch
/// Big-endian, no padding, no trailing bytes. Eight tables follow the header, in this order:
///
/// | part     | bytes | fields                                                                                     |
/// |----------|-------|--------------------------------------------------------------------------------------------|
/// | header   | 27    | number u48, matchedAt u40, lengths u16 x 8 (of the tables below, in this order)            |
/// | account  | 24    | account address, epoch u32                                                                 |
/// | market   | 14    | id u32, oracle round u80                                                                   |
/// | position | 6     | account index u16, instrument u32                                                          |
/// | group    | 67    | leaf count u8, mask of absent leaves u16, signature r bytes32, vs bytes32 (EIP-2098)       |
/// | absent   | 32    | struct hash of an order that was signed with others but is not in the batch                |
/// | order    | 35    | position index u16, market index u16, flags u8, nonce u64, price u56, quantity u40,        |
/// |          |       | expiry u40, maxFeeBps u16, group index u16, leaf u8                                        |
/// | limit    | 8     | conversion limit u64                                                                       |
/// | fill     | 9     | maker order index u16, taker order index u16, quantity u40                                 |
///
/// Order flags: bit 0 side (1 = sell), bits 1-2 time in force, bit 3 reduce-only, bit 4 takes the next conversion limit
/// of the table, bit 5 forced, bits 6-7 zero. A GTC order carries expiry 0 and signs 2^64-1; in any other order expiry 0
/// is invalid. The readable form carries the expiry that was signed. Its values that the packed form cannot hold are out
/// of range.
///
/// # Signatures
/// A group is one signature over one order (EIP-712 `Order`) or over 2 to 10 orders of one account (`OrderArray`), its
/// leaves. Leaves whose orders are not in the batch are absent: bit i of the mask stands for leaf i, and their hashes
/// follow one another in the absent table by group, lowest leaf first. The signer is the account, or a delegate that
/// OrderControl knows until `matchedAt` or longer. No foreign code runs.
///
/// # Rounds and conversion
/// A market's round is 0, except in a cross-quoted market, where it fixes the rate (its oracle says which round held at
/// `matchedAt`), and in a derivative market in which a forced order trades, whose round the Clearinghouse uses. The
/// notional of a cross-quoted fill is floor(quantity * price * rate / 10^12).
///
/// # Forced orders
/// Liquidations, exits and the insurance fund's unwinding carry no signature (group 2^16-1, leaf 0): they are IOC,
/// reduce-only, in a perpetual or future, and under the nonce key 2^32-1, which no other order of a derivative market
/// may use; their sequence is the stored one and no other (StaleNonce), so that a position has at most one in a batch
/// and none can use up the key. The Clearinghouse decides whether one is due. Their epoch is that of the account's entry and is not
/// compared if it says that nothing was signed; their maxFeeBps is not checked.
///
/// # Order of checks
/// Caller, halt, the packed form's length, at least one fill, batch number, matchedAt, then the tables in the order
/// above with each entry's checks in the order of the errors below. After the last group AbsentNotUsed; after the last
/// order LimitNotUsed and, by market, UnexpectedRound of derivative markets; then the groups' signatures in table order,
/// LeafNotSet before InvalidSignature; then the fills in match order with their checks in the order of the errors below;
/// then the Clearinghouse, if a derivative traded; then balances (positions in table order, then accounts in the Vault,
/// whose errors carry the account's index). An entry's indices are checked before anything else of it. The group of an
/// IOC or FOK order's fills ends, and FokIncomplete is raised, before anything of the next taker's first fill is
/// checked. The first failure reverts the whole batch; its error carries the index of the entry that failed.
/// (A readable fill of 2^40 lots or more is an Overfill of its maker, and a readable group whose mask counts other than
/// its absent hashes has an InvalidAbsentMask, already when the batch is read.)
///
/// # Nonces
/// A nonce is a key (upper 32 bits) and a sequence (lower 32 bits). Stored per position and key: the latest sequence
/// that acted and how many lots of it are filled. A lower sequence is refused, an equal one goes on, a higher one
/// starts at 0 and ends the older. A batch may hold several sequences of a key; the last that acts is stored. An IOC or
/// FOK order leaves the sequence after its own, with nothing filled. Entries without a fill change nothing.
interface IEngine {
    // ---------------------------------------------------------------------------------------------------------------
    // Types
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice What a trader signs (EIP-712, domain "OrderBookDEX" version "1", verifying contract: the Engine proxy).
    struct Order {
        address account;
        uint32 market;
        uint8 side; // 0 buy, 1 sell
        uint8 timeInForce; // 0 GTC, 1 GTD, 2 IOC, 3 FOK
        bool reduceOnly;
        uint64 price; // see Units; the worst price that the trader accepts
        uint64 quantity; // lots
        uint64 nonce; // key (upper 32 bits) and sequence (lower 32 bits)
        uint32 epoch;
        uint64 expiry; // Unix seconds; GTC signs 2^64-1
        uint16 maxFeeBps;
        uint64 conversionLimit; // 0 unless the market is cross-quoted: a buyer's highest, a seller's lowest rate
    }

    struct AccountEntry {
        address account;
        uint32 epoch; // what the account's orders in this batch sign; 2^32-1: nothing signed, not compared
    }

    struct MarketEntry {
        uint32 id;
        uint80 round; // of the market's oracle, or 0
    }

    struct PositionEntry {
        uint16 account; // index into accounts
        uint32 instrument;
    }

    struct GroupEntry {
        bytes32 r;
        bytes32 vs;
        uint8 leafCount; // 1: an Order is signed; 2 to 10: an OrderArray
        bytes32[] absent; // hashes of the leaves that are not in the batch, lowest leaf first
        uint16 absentMask; // which leaves these are
    }

    struct OrderEntry {
        uint16 position; // index into positions
        uint16 market; // index into markets
        uint8 side;
        uint8 timeInForce;
        bool reduceOnly;
        uint64 nonce;
        uint64 price;
        uint64 quantity;
        uint64 expiry; // as signed: 2^64-1 for GTC
        uint16 maxFeeBps;
        uint64 conversionLimit;
        uint16 group; // index into groups; 2^16-1 for a forced order
        uint8 leaf; // below the group's leaf count
        bool forced;
    }

    struct FillEntry {
        uint16 maker; // index into orders
        uint16 taker; // index into orders
        uint64 quantity; // lots
    }

    struct Batch {
        uint48 number;
        uint40 matchedAt;
        AccountEntry[] accounts;
        MarketEntry[] markets;
        PositionEntry[] positions;
        GroupEntry[] groups;
        OrderEntry[] orders;
        FillEntry[] fills;
    }

    /// @notice The batch's table whose entry refers outside the table that it points into.
    enum Table {
        POSITIONS,
        GROUPS,
        ORDERS,
        FILLS
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Events
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice One per fill, in match order. id = keccak256(abi.encode(makerHash, takerHash, makerFilledBefore,
    ///         takerFilledBefore)), the trade id everywhere.
    event Fill(bytes32 id);
    event BatchSettled(uint48 indexed number, uint40 matchedAt, uint256 fills);
    event Connected(address indexed queue, address indexed orderControl, address indexed clearinghouse);
    event Deposited(address indexed account, uint32 indexed instrument, uint256 amount);
    event PaidOut(address indexed account, uint32 indexed instrument, uint256 amount);
    event OperatorChanged(address indexed operator);
    event GuardianChanged(address indexed guardian);
    /// @notice A halt that ends by itself emits nothing more.
    event HaltStarted(uint40 until);
    event HaltEnded(uint40 until);
    /// @notice Batches matched at `at` or later pay `feeBps`.
    event FeeScheduled(uint16 feeBps, uint40 at);
    event FeesCollected(address indexed recipient, uint256 amount);

    // ---------------------------------------------------------------------------------------------------------------
    // Errors: caller and header
    // ---------------------------------------------------------------------------------------------------------------

    error NotOperator(address caller);
    error NotGuardian(address caller);
    error NotQueue(address caller);
    error NotOrderControl(address caller);
    error EngineHalted(uint40 until);
    error HaltTooSoon(uint40 notBefore);
    error NotHalted();
    error AlreadyConnected();
    error ZeroAddress();
    error FeeTooHigh(uint16 feeBps, uint16 highest);
    error FeeChangeTooSoon(uint40 notBefore);
    /// @dev The last fee change begins in less than a WINDOW, or has begun while a batch that was matched before it may
    ///      still come.
    error FeeChangePending(uint40 at);
    /// @dev The packed bytes end before `offset`, or go on after it. For the readable form: a table of `offset`
    ///      entries, more than 65,535.
    error MalformedBatch(uint256 offset);
    error EmptyBatch();
    error WrongBatchNumber(uint48 expected, uint48 actual);
    error MatchedAtOutOfRange(uint40 matchedAt, uint40 lowest, uint40 highest);

    // Errors: tables, in the order in which they are checked
    error UnsortedAccounts(uint256 index);
    /// @dev The registry did not answer one word for each market.
    error RegistryMismatch();
    error UnsortedMarkets(uint256 index);
    error UnknownMarket(uint256 index);
    error MarketNotActive(uint256 index);
    /// @dev Also, after all orders, a derivative market's round without a forced order.
    error UnexpectedRound(uint256 market);
    error RoundMissing(uint256 market);
    /// @dev The oracle's price is no rate from 1 to 2^64-1.
    error RateOutOfRange(uint256 market);
    /// @dev Also a group whose absent hashes, or an order whose conversion limit, lie beyond their tables.
    error IndexOutOfRange(Table table, uint256 index);
    error UnsortedPositions(uint256 index);
    error InvalidLeafCount(uint256 group);
    /// @dev Absent are leaves that the group has not, or all that it has.
    error InvalidAbsentMask(uint256 group);
    /// @dev No group takes this hash.
    error AbsentNotUsed(uint256 index);

    // Errors: orders, in the order in which they are checked
    error UnsortedOrders(uint256 order);
    error InvalidFlags(uint256 order);
    error InstrumentMismatch(uint256 order);
    /// @dev A forced order that is not as described above. (If it is, RoundMissing follows.)
    error InvalidForced(uint256 order);
    error ReduceOnlySpot(uint256 order);
    error UnexpectedConversionLimit(uint256 order);
    error ConversionLimitMissing(uint256 order);
    /// @dev The rate is above a buyer's or below a seller's limit.
    error ConversionLimitExceeded(uint256 order);
    error InvalidPrice(uint256 order);
    error InvalidQuantity(uint256 order);
    error InvalidExpiry(uint256 order);
    error OrderExpired(uint256 order);
    error SequenceExhausted(uint256 order);
    /// @dev A signed order under the nonce key of forced orders.
    error ReservedKey(uint256 order);
    /// @dev The account's entry says that it signed nothing.
    error EpochExhausted(uint256 order);
    error FeeAboveCap(uint256 order);
    /// @dev Also a forced order whose sequence is above the stored one.
    error StaleNonce(uint256 order);
    /// @dev Another order has set the leaf, or it is absent.
    error LeafSetTwice(uint256 order);
    error GroupAccountMismatch(uint256 order);
    /// @dev No order takes this conversion limit.
    error LimitNotUsed(uint256 index);

    // Errors: signatures, in the order in which they are checked
    error LeafNotSet(uint256 group);
    error InvalidSignature(uint256 group);

    // Errors: fills, in the order in which they are checked
    error ZeroQuantity(uint256 fill);
    error MarketMismatch(uint256 fill);
    error SameSide(uint256 fill);
    error SelfTrade(uint256 fill);
    error MakerNotResting(uint256 fill);
    error GroupClosed(uint256 fill);
    error GroupTooLarge(uint256 fill);
    error Superseded(uint256 fill);
    error NotCrossing(uint256 fill);
    error Overfill(uint256 fill, uint256 order);
    error FokIncomplete(uint256 order);

    // Errors: balances
    /// @dev The Clearinghouse did not answer one change for each position.
    error ClearinghouseMismatch();
    error BalanceTooLow(uint256 position);
    error BalanceOverflow(uint256 position);

    // Errors: custody and fees
    error UnknownInstrument(uint32 instrument);
    error ZeroAmount();

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Settle a packed batch. Operator only.
    function settleBatch(bytes calldata packed) external;

    /// @notice Settle the same batch in readable form: same core, same checks, same result.
    function settleBatch(Batch calldata batch) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Custody of synths
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Take `amount` quanta of the instrument's synth from the caller and credit its spot balance.
    function deposit(uint32 instrument, uint256 amount) external;

    /// @notice Pay min(amount, balance) of the synth to `account`. WithdrawalQueue only.
    /// @return paid what left the balance
    function payOut(address account, uint32 instrument, uint256 amount) external returns (uint256 paid);

    /// @notice Let no sequence below `sequence` of the nonce key act again. OrderControl only. Nothing changes if the
    ///         stored sequence is as high already.
    function endKey(address account, uint32 instrument, uint32 key, uint32 sequence) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Guardian and owner
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Block settlement and stop the window clock for MAX_HALT; not again until HALT_PAUSE after it ended.
    ///         Guardian only.
    function halt() external;

    /// @notice End a halt before its time. Guardian only.
    function endHalt() external;

    /// @notice Name the WithdrawalQueue, OrderControl and the Clearinghouse. Owner only, once.
    function connect(address queue, address orderControl, address clearinghouse) external;

    /// @notice Name the only account that settles. Owner only.
    function setOperator(address operator) external;

    /// @notice Name the account that may halt. Owner only.
    function setGuardian(address guardian) external;

    /// @notice Let batches that are matched at `at` or later pay `feeBps`; `at` is a WINDOW from now or later. Replaces
    ///         a change that begins a WINDOW from now or later; one that begins sooner stays. Owner only.
    function scheduleFee(uint16 feeBps, uint40 at) external;

    /// @notice Move the fees that no rebate can claim any more (Vault.collectableFees) to `recipient`'s Vault account.
    ///         Owner only.
    function collectFees(address recipient) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Seconds of the settlement window. A batch's matchedAt is at most half of it ago, not counting the latest
    ///         halt.
    function WINDOW() external view returns (uint40);

    /// @notice Highest fee in basis points per side.
    function MAX_FEE_BPS() external view returns (uint16);

    /// @notice Longest halt, in seconds.
    function MAX_HALT() external view returns (uint40);

    /// @notice Shortest time between the end of a halt and the next, in seconds.
    function HALT_PAUSE() external view returns (uint40);

    /// @notice Seconds of the window clock: time less all halts. Withdrawals count in it.
    function clock() external view returns (uint40);

    function vault() external view returns (address);

    function registry() external view returns (address);

    /// @return the contract that packs batches in readable form
    function packer() external view returns (address);

    /// @return the only caller of `payOut`; zero before `connect`
    function queue() external view returns (address);

    /// @return the only caller of `endKey`, which also knows the delegates; zero before `connect`
    function orderControl() external view returns (address);

    /// @return the contract that settles derivatives; zero before `connect`
    function clearinghouse() external view returns (address);

    function operator() external view returns (address);

    function guardian() external view returns (address);

    /// @return number the last settled batch, 0 at first
    /// @return matchedAt its match time
    function lastBatch() external view returns (uint48 number, uint40 matchedAt);

    /// @return startedAt start of the latest halt, 0 if there was none
    /// @return until its end, which may lie in the future
    function lastHalt() external view returns (uint40 startedAt, uint40 until);

    /// @notice Spot balance in quanta.
    function balanceOf(address account, uint32 instrument) external view returns (uint256);

    /// @notice Stored state of a nonce key: the latest sequence that acted and how many lots of it are filled.
    function orderState(address account, uint32 instrument, uint32 key)
        external
        view
        returns (uint32 sequence, uint64 filled);

    /// @notice Fee in basis points of the notional, per side, of what is matched now.
    function feeBps() external view returns (uint16);

    /// @notice The last scheduled fee change.
    /// @return current basis points before it
    /// @return next basis points from it on
    /// @return at its time, 0 if there was none
    function feeSchedule() external view returns (uint16 current, uint16 next, uint40 at);

    /// @notice EIP-712 domain separator of all that traders sign.
    function domainSeparator() external view returns (bytes32);

    /// @notice EIP-712 struct hash of an order: the order's id everywhere.
    function hashOrder(Order calldata order) external view returns (bytes32);

    /// @notice EIP-712 digest that the trader signs.
    function orderDigest(Order calldata order) external view returns (bytes32);
}
