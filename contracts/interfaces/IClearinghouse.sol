// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Derivative positions
/// @notice Margin, funding, liquidation, exit and expiry of perpetuals and futures; collateral and expiry of options.
///         Everything is paid in USDC through the Vault, where the Clearinghouse holds one account for all markets.
///
/// Units: sizes and quantities in lots; quotes, equities and pools in micro-USDC; the index I and every price in
/// micro-USDC per lot; funding F and f in micro-USDC per lot times 2^32; rates in 1e-8 per hour; margins, bands, fees
/// and penalties in basis points. The index of a market is I = floor(price * lotSize / 10^(baseDecimals + 12)) of its
/// oracle's 18-decimal price; it must be in [1, 2^64 - 1].
///
/// # Positions
/// A position has a size s (> 0 long), a quote Q and the funding index f up to which it has paid funding.
///     equity       E(x) = s*x + Q at the price x, after funding
///     maintenance  MM = ceil(|s| * I * maintenanceMargin / 1e4)
/// Every market has a pool: what the accounts have paid in less what they were paid. It never goes below 0, so a
/// deficit stays in its market. While the market is open, its sizes sum to 0 and its pool is the sum of the quotes
/// (after funding), plus dust of funding; of an option, collateral * the sum of short sizes.
///
/// # Fills
/// Before the first fill every derivative market in the batch's table is checked, in table order: MarketNotOpen, then
/// ExpiredMarket for a dated market with now >= expiry. Then fills in match order, the buyer's leg before the seller's.
/// A leg of quantity q at price P, sigma = +1 for the buyer, -1 for the seller:
///
/// Perpetuals and futures
///     0  Q -= ceilDiv(s * (F - f), 2^32); f = F                                           QuoteOverflow(fill)
///     1  c = min(q, |s|) if s opposes sigma, else 0; g = q - c
///        g must be 0 if the order is reduce-only or forced                                ReduceOnlyExceeded(fill)
///        a forced order must be due                                                       NotForceable(fill)
///        and in its band                                                                  PriceOutOfBand(fill)
///     2  Qc = floorDiv(Q * c, |s|); credit = -sigma*c*P + Qc; s += sigma*c; Q -= Qc
///        must be >= 0 in a forced order, except the fund's                                NegativeCredit(fill)
///     3  m = floor(g * P * initialMargin / 1e4); credit -= m; Q += m - sigma*g*P; s += sigma*g
///        s must fit 64 bits                                                               SizeOverflow(fill)
///        Q must fit 96 bits                                                               QuoteOverflow(fill)
///     4  fee = floor(q * P * feeBps / 1e4), but at most max(credit, 0) in a forced order
///        penalty = min(floor(q * P * liquidationFee / 1e4), credit - fee) in a liquidation, else 0
///        account += credit - fee - penalty; pool -= credit
///
/// A forced order is due, first that applies,
///     - if the account is FUND:                                     the band is bandBps
///     - if E(I) < MM after step 0, before step 2 (a liquidation):   the band is bandBps
///     - if the account has an exit request that has not ended:      the band is exitPenaltyBps
/// but never in a position that grew in the same batch before it (g > 0): no own order is filled below maintenance only
/// to be liquidated. I is the index of the market's round in the batch, which held at matchedAt (RoundMissing(market) if
/// it is 0, else the oracle's error). In band: a sell P * 1e4 >= I * (1e4 - band), a buy P * 1e4 <= I * (1e4 + band).
///
/// Options
///     1  as above; a forced order is never due (NotForceable)
///     2  credit = C * (short - short') - sigma*q*P, short = max(0, -s), s' = s + sigma*q    SizeOverflow(fill)
///     4  fee = floor(q * P * feeBps / 1e4); account += credit - fee; pool += C * (short' - short)
///     with the collateral C = strike of a put, cap - strike of a call, per lot.
///
/// After all fills, in the order of the position table, each position of a perpetual or future in which a leg had g > 0
/// and whose size is not 0 must have E(I) >= MM at the oracle's latest index: Undermargined(position). Then each pool
/// must be >= 0, in the order of the market table: PoolNegative(market).
///
/// A leg that closes its position wholly (c = |s| > 0, also if it goes on to open the other side) ends the position's
/// exit request and its flag.
///
/// # Time
/// Windows count in the Engine's clock, which stops while settlement is halted. Expiries, hours of funding and the time
/// without a sign of life are Unix seconds. After its expiry only `expire`, `expireAbandoned` and `close` act on a
/// dated market.
interface IClearinghouse {
    // ---------------------------------------------------------------------------------------------------------------
    // Types
    // ---------------------------------------------------------------------------------------------------------------

    enum State {
        OPEN,
        EXPIRED
    }

    /// @notice Why a forced order was due.
    enum Cause {
        FUND,
        LIQUIDATION,
        EXIT
    }

    /// @notice How a market came to its settlement price.
    enum Expiry {
        DATE,
        UNSERVED_EXIT,
        ABANDONED
    }

    struct MarketState {
        int96 funding; // F
        uint32 lastHour; // Unix hour of the last accrual, 0 before
        State state;
        uint64 settlePerLot; // index (of an option: payment per lot) at which the market expired
        uint128 pool;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Events
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice A position's stored state from now on, once per position and transaction.
    event PositionChanged(
        address indexed account, uint32 indexed market, int64 size, int96 quote, int96 fundingIndex
    );
    /// @notice A market's pool from now on.
    event PoolChanged(uint32 indexed market, uint128 pool);
    /// @notice A leg of a forced order; `fill` is the fill's index in its batch.
    event ForcedFill(
        address indexed account, uint32 indexed market, Cause cause, uint256 fill, uint256 fee, uint256 penalty
    );
    event FundingAccrued(uint32 indexed market, uint32 hour, int64 rate, uint256 index, int96 funding);
    /// @notice `settlePerLot` as in MarketState.
    event MarketExpired(uint32 indexed market, Expiry how, uint64 settlePerLot);
    /// @notice The account received `paid`, the fund paid `covered` into the pool. What neither covers of the equity is
    ///         a claim if it is positive, which stays as the position's quote, and lost to the market if it is
    ///         negative.
    event Closed(address indexed account, uint32 indexed market, int256 equity, uint256 paid, uint256 covered);
    event Flagged(address indexed account, uint32 indexed market, uint40 at);
    event Unflagged(address indexed account, uint32 indexed market);
    event ExitRequested(address indexed account, uint32 indexed market, uint40 at);
    /// @notice The request ends at `endsAt` in the Engine's clock, and nothing more is emitted then.
    event ExitCanceled(address indexed account, uint32 indexed market, uint40 endsAt);
    /// @notice Done, because the position was closed.
    event ExitEnded(address indexed account, uint32 indexed market);
    /// @notice The fund has the position (size, quote) now, and put `topUp` into its own (or took out -topUp).
    event TakenOver(address indexed account, uint32 indexed market, int64 size, int96 quote, int256 topUp);
    /// @notice The same, after `paid` of the quote went to the account.
    event Exited(
        address indexed account, uint32 indexed market, int64 size, int96 quote, uint256 paid, int256 topUp
    );
    event Deleveraged(
        address indexed loser, address indexed winner, uint32 indexed market, uint256 quantity, uint256 credit
    );

    // ---------------------------------------------------------------------------------------------------------------
    // Errors of settle. Indices are those of the batch's tables.
    // ---------------------------------------------------------------------------------------------------------------

    error NotEngine(address caller);
    error LengthMismatch();
    error MarketNotOpen(uint256 market);
    error ExpiredMarket(uint256 market);
    error ReduceOnlyExceeded(uint256 fill);
    error RoundMissing(uint256 market);
    error NotForceable(uint256 fill);
    error PriceOutOfBand(uint256 fill);
    error NegativeCredit(uint256 fill);
    error SizeOverflow(uint256 fill);
    error QuoteOverflow(uint256 fill);
    error Undermargined(uint256 position);
    error PoolNegative(uint256 market);

    // ---------------------------------------------------------------------------------------------------------------
    // Errors of everything else. `market` is the market's id.
    // ---------------------------------------------------------------------------------------------------------------

    error ZeroAddress();
    error NotOperator(address caller);
    /// @dev Not a market, or of a kind for which the action does not exist.
    error WrongKind(uint32 market);
    error NotOpen(uint32 market);
    error NotExpired(uint32 market);
    /// @dev A dated market whose time has come: only `expire` and `close` act on it.
    error PastExpiry(uint32 market);
    error IndexOutOfBounds(uint32 market, uint256 price);
    error WrongHour(uint32 hour, uint32 lowest, uint32 highest);
    error RateOutOfBounds(int64 rate, uint16 cap);
    error BeforeExpiry(uint40 expiry);
    error NotAbandoned(uint40 until);
    error NoPosition(address account, uint32 market);
    error FundAccount();
    error Healthy(int256 equity, uint256 maintenance);
    error Unhealthy(int256 equity, uint256 maintenance);
    error AlreadyFlagged(uint40 at);
    error NotFlagged();
    /// @dev The flag or request is too recent; `readyAt` is the Engine's clock from which it counts.
    error WindowOpen(uint40 readyAt);
    error FundShort(uint256 required, uint256 held);
    error PoolShort(uint256 required, uint256 held);
    error Solvent(int256 equity);
    /// @dev The fund can take the position over, so nobody has to be deleveraged.
    error FundSuffices(uint256 required, uint256 held);
    error NotOpposite();
    error InvalidQuantity(uint256 quantity, uint256 highest);
    error CreditNegative(int256 credit);
    error NoExitRequest();
    error NothingToClose();

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Book a batch's derivative fills, as described above. Engine only.
    /// @dev    Moves nothing in the Vault: the Engine adds the answer to its own entries, where
    ///         sum(deltas) + sum(fees) + ownDelta + penalties = 0.
    /// @param  matchedAt   Unix seconds
    /// @param  feeBps      basis points of the notional per side
    /// @param  markets     the batch's market ids, of all kinds
    /// @param  marketWords the registry's word of each (MarketWord)
    /// @param  rounds      the oracle round of each, 0 for none
    /// @param  positions   the batch's positions (Position words), of all kinds
    /// @param  fills       DerivativeFill words in match order, indexing these tables
    /// @return deltas      by position: change of its account's USDC, after fees
    /// @return fees        by position: fees paid, part of the above
    /// @return ownDelta    change of the Clearinghouse's own Vault account
    /// @return penalties   for FUND's Vault account
    function settle(
        uint40 matchedAt,
        uint256 feeBps,
        uint32[] calldata markets,
        uint256[] calldata marketWords,
        uint80[] calldata rounds,
        uint256[] calldata positions,
        uint256[] calldata fills
    ) external returns (int256[] memory deltas, uint256[] memory fees, int256 ownDelta, uint256 penalties);

    // ---------------------------------------------------------------------------------------------------------------
    // Funding
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Charge an hour's funding of a perpetual: F += rate * I * 2^32 / 1e8, truncated toward zero, with the
    ///         index at the full hour. Longs pay a positive rate. Operator only.
    /// @dev    Checks: NotOperator, WrongKind, NotOpen, WrongHour, RateOutOfBounds, then the oracle's.
    /// @param  hour  Unix hour: later than the last accrual's, begun, and at most a window ago
    /// @param  round the oracle's round that held at the full hour
    function accrueFunding(uint32 market, uint32 hour, int64 rate, uint80 round) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Liquidation by the fund, deleveraging. Perpetuals and futures, at the oracle's latest index.
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Record that E(I) < MM. Anyone. A flag counts for a window, in which nobody may act on it, and for 24 hours
    ///         after that; then it is as if there were none.
    /// @dev    Checks: WrongKind, NotOpen, PastExpiry, AlreadyFlagged, NoPosition, Healthy.
    function flag(address account, uint32 market) external;

    /// @notice Remove a flag when E(I) >= MM. Anyone.
    /// @dev    Checks: WrongKind, NotOpen, PastExpiry, NotFlagged, Unhealthy.
    function unflag(address account, uint32 market) external;

    /// @notice Move a position to the fund, which tops its own position up to E(I) >= MM. The account gets nothing.
    ///         Operator if E(I) < MM/2; anyone if E(I) < MM and the flag counts and is a window old.
    /// @dev    If the fund's size becomes 0, what is left of its quote goes to its account, as far as the pool has it.
    ///         Checks: WrongKind, NotOpen, PastExpiry, FundAccount, NoPosition, Healthy, then for all but the
    ///         operator's own right NotFlagged and WindowOpen, then FundShort.
    function takeOver(address account, uint32 market) external;

    /// @notice Close `quantity` lots of a bankrupt position against an opposite one at the price that leaves the loser
    ///         nothing: credit = floorDiv(Q * quantity, |s|) of both, to the winner. Operator; anyone if the loser's
    ///         flag counts and is a window old.
    /// @dev    Checks: WrongKind, NotOpen, PastExpiry, NoPosition (loser), Solvent if E(I) > 0 of the loser; NotFlagged
    ///         and WindowOpen as above; FundSuffices if a takeover is possible (if the loser is FUND: if its account
    ///         could top its position up to MM); NotOpposite, InvalidQuantity, CreditNegative, PoolShort.
    function deleverage(address loser, address winner, uint32 market, uint256 quantity) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Exit. Perpetuals and futures, at the oracle's latest index.
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Ask to leave: from now on the operator may close the caller's position at I less the exit penalty or
    ///         better, one window later anyone may make the fund take it. A second request restarts the window
    ///         and goes on if the first was canceled.
    /// @dev    Checks: WrongKind, NotOpen, PastExpiry, NoPosition.
    function requestExit(uint32 market) external;

    /// @notice Let the caller's request end a window from now. Until then it counts, so that what was matched on it can
    ///         settle.
    /// @dev    Checks: NoExitRequest, also if it was canceled before.
    function cancelExit(uint32 market) external;

    /// @notice Pay the account max(0, floor(E(I) - exitPenalty * |s| * I / 1e4)) and move the rest of its position to
    ///         the fund, under the same top-up as a takeover. Anyone, a window after the request.
    /// @dev    Checks: WrongKind, NotOpen, PastExpiry, NoExitRequest, WindowOpen, NoPosition, FundShort, PoolShort.
    function exit(address account, uint32 market) external;

    /// @notice 24 hours after an exit request: perform the exit, or if the fund or the pool falls short, expire the
    ///         market at the latest index. Anyone.
    /// @dev    Checks as `exit`, without its last two.
    function expireUnserved(address account, uint32 market) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Expiry
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Fix the settlement price of a dated market: the index of the round that lies across its expiry, for an
    ///         option min(intrinsic value, collateral). Anyone, from the expiry.
    /// @dev    Checks: WrongKind, NotOpen, BeforeExpiry, then the oracle's.
    function expire(uint32 market, uint80 round) external;

    /// @notice Expire any market at the latest index if the operator has given no sign of life for 48 hours: no batch,
    ///         no funding in any market, and the market is at least as old; or a dated market that nobody could expire by
    ///         its round within 48 hours of its expiry. Anyone.
    /// @dev    Checks: WrongKind, NotOpen, NotAbandoned, then the oracle's.
    function expireAbandoned(uint32 market) external;

    /// @notice Settle a position of an expired market; also again, while it has a claim. Anyone, for the account.
    ///         Perpetuals and futures: e = E(settlePerLot); e > 0 pays min(e, pool) and leaves the rest as a claim (s =
    ///         0, Q = claim); e < 0: the fund pays min(-e, its account) into the pool. Options: a long gets
    ///         settlePerLot per lot, a short the rest of its collateral.
    /// @dev    Checks: NotExpired, NothingToClose.
    function close(address account, uint32 market) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice The insurance fund: a Vault account to which no key exists. Anyone may deposit to it.
    function FUND() external view returns (address);

    function engine() external view returns (address);

    function vault() external view returns (address);

    function registry() external view returns (address);

    /// @notice The position as stored: `quote` does not contain funding after `fundingIndex`.
    function positionOf(address account, uint32 market)
        external
        view
        returns (int64 size, int96 quote, int96 fundingIndex);

    function marketState(uint32 market) external view returns (MarketState memory);

    function poolOf(uint32 market) external view returns (uint128);

    /// @notice Equity and maintenance margin of a perpetual's or future's position after funding, at the latest index,
    ///         or at the settlement price (and maintenance 0) once expired.
    function equity(address account, uint32 market) external view returns (int256 equity_, uint256 maintenance);

    /// @return whether E(I) < MM at the latest index, in an open market
    function isLiquidatable(address account, uint32 market) external view returns (bool);

    /// @return the Engine's clock at the exit request, 0 if there is none or it has ended
    function exitRequestedAt(address account, uint32 market) external view returns (uint40);

    /// @return the Engine's clock at which the exit request ends or has ended, 0 if it was not canceled
    function exitEndsAt(address account, uint32 market) external view returns (uint40);

    /// @return the Engine's clock at the flag, 0 if there is none that counts
    function flaggedAt(address account, uint32 market) external view returns (uint40);

    /// @return Unix seconds of the operator's last sign of life, a batch or an accrual of funding
    function lastSignOfLife() external view returns (uint40);

    /// @return held USDC of the Clearinghouse's Vault account
    /// @return owed sum of all pools
    function solvency() external view returns (uint256 held, uint256 owed);
}
