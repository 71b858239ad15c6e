"""Sessions and keys in bounded memory: whatever happens, in whatever order, who is known is who should be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offchain.api.credentials import Credentials, Identity
from offchain.domain.events import ApiKeyUpdate, DelegateUpdate

ACCOUNTS = [bytes([number]) * 20 for number in range(1, 4)]
MAX_SESSIONS, MAX_PER_ACCOUNT, LIFE_MS = 5, 2, 10

accounts = st.sampled_from(ACCOUNTS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), accounts, accounts),
        st.tuples(st.just("end"), st.integers(0, 20)),
        st.tuples(st.just("pass"), st.integers(1, 6)),
        st.tuples(st.just("undelegate"), accounts, accounts),
        st.tuples(st.just("key"), accounts, st.sampled_from(["active", "revoked"])),
        st.tuples(st.just("learn")),
    ),
    max_size=60,
)


def create_key(account: bytes, status: str) -> ApiKeyUpdate:
    return ApiKeyUpdate(account, "k1", account[:1] * 32, "bot", ["read"], 0, 0, status)


class Model:
    """The same by plain lists: sessions as (identity, token), oldest first; accounts with a key."""

    def __init__(self) -> None:
        self.sessions: list[tuple[Identity, str]] = []
        self.keys: set[bytes] = set()

    def keep(self, kept: list[tuple[Identity, str]]) -> None:
        self.sessions = [each for each in self.sessions if each in kept]

    def opened(self, identity: Identity, token: str) -> None:
        own = [each for each in self.sessions if each[0].account == identity.account]
        if len(own) == MAX_PER_ACCOUNT:
            self.sessions.remove(own[0])
        elif len(self.sessions) == MAX_SESSIONS:
            self.sessions.pop(0)
        self.sessions.append((identity, token))


@given(steps)
def test_credentials_are_those_of_the_model(steps: list[tuple]) -> None:
    credentials, model, now_ms, told = Credentials(MAX_SESSIONS, MAX_PER_ACCOUNT), Model(), 1_000, []
    everybody: list[tuple[Identity, str]] = []
    for step in steps:
        match step:
            case ("open", account, signer):
                token, identity = credentials.open_session(account, signer, now_ms + LIFE_MS)
                credentials.watch(identity, lambda of=identity: told.append(of.token_hash))
                everybody.append((identity, token))
                model.opened(identity, token)
            case ("end", index):
                if index < len(everybody):
                    credentials.end_session(everybody[index][0])
                    model.keep([each for each in model.sessions if each != everybody[index]])
            case ("pass", ms):
                now_ms += ms
                credentials.sweep(now_ms)
                model.keep([each for each in model.sessions if each[0].expires_ms > now_ms])
            case ("undelegate", account, delegate):
                credentials.apply(DelegateUpdate(account, delegate, 0))
                model.keep(
                    [
                        each
                        for each in model.sessions
                        if account == delegate or (each[0].account, each[0].signer) != (account, delegate)
                    ]
                )
            case ("key", account, status):
                credentials.apply(create_key(account, status))
                (model.keys.add if status == "active" else model.keys.discard)(account)
            case _:
                credentials.learn([create_key(account, "active") for account in ACCOUNTS[:1]], [])
                model.keys = set(ACCOUNTS[:1])
                model.keep([each for each in model.sessions if each[0].account == each[0].signer])
        assert (credentials.sessions, credentials.keys) == (len(model.sessions), len(model.keys))
        for identity, token in everybody:
            is_known = (identity, token) in model.sessions
            assert (credentials.find(token, now_ms) == identity) == credentials.is_good(identity, now_ms) == is_known
    gone = [identity.token_hash for identity, token in everybody if (identity, token) not in model.sessions]
    assert sorted(told) == sorted(gone), "each end is told, once"
    assert len(credentials._watchers) == len(model.sessions)


def test_a_token_is_not_found_by_its_hash() -> None:
    credentials = Credentials(MAX_SESSIONS, MAX_PER_ACCOUNT)
    token, identity = credentials.open_session(ACCOUNTS[0], ACCOUNTS[0], 10)
    assert credentials.find(token, 0) == identity
    for wrong in (identity.token_hash.hex(), token.lower(), token[:-1], token + " ", "", "\ud800"):
        assert credentials.find(wrong, 0) is None


def test_tokens_differ_and_have_256_bits() -> None:
    credentials = Credentials(1_000, 1_000)
    tokens = {credentials.open_session(ACCOUNTS[0], ACCOUNTS[0], 10)[0] for _ in range(500)}
    assert len(tokens) == 500
    assert {len(token.removeprefix("cps_")) for token in tokens} == {43}
