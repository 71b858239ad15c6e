"""Signing in and out: a challenge (EIP-4361), its signature, a session."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from offchain.api.access import identify
from offchain.api.challenges import Challenge
from offchain.api.credentials import Identity
from offchain.api.handlers.common import answer, charge_sign_in, parameters, read_body
from offchain.api.keys import CATALOGUE, CHALLENGES, CREDENTIALS, LIMITS, METRICS, STATE
from offchain.api.present import hex_of
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import auth
from offchain.chain import eip712
from offchain.chain.eip4361 import SignIn, account_uri, personal_digest
from offchain.domain.errors import Code
from offchain.domain.order import Address
from offchain.intake import IntakeCode, IntakeError, decode_body, parse_address, parse_signature

log = structlog.get_logger(__name__)

STATEMENT = (
    "Sign in to Crosspoint to read this account and to cancel its orders. "
    "This signature places no order, moves no money and costs no gas."
)

NONCE_BYTES = 16

NO_STORE = {"Cache-Control": "no-store"}
"""for answers that hold a secret"""


async def create_challenge(request: web.Request) -> web.Response:
    """POST /v1/auth/challenge"""
    charge_sign_in(request)
    body = decode_body(await read_body(request), auth.ChallengeBody)
    account = parse_address(body.account)
    signer = account if body.signer is None else parse_address(body.signer, "signer")
    _check_delegate(request, account, signer)
    state = request.app[STATE]
    now_ms = state.clock.now_ms()
    expires_ms = now_ms + state.settings.challenge_seconds * 1000
    message = _sign_in(request, account, signer, now_ms, expires_ms).text
    client = request.app[LIMITS].address_of(request)
    request.app[CHALLENGES].keep(message, Challenge(account, signer, expires_ms, client), now_ms)
    response = answer(auth.Challenge(message=message, expires_at=expires_ms), 201)
    response.headers.update(NO_STORE)
    return response


async def create_session(request: web.Request) -> web.Response:
    """POST /v1/auth/sessions"""
    charge_sign_in(request)
    sign_ins = request.app[METRICS].sign_ins
    try:
        body = decode_body(await read_body(request), auth.SessionBody)
        challenge = _answered(request, body)
    except (ProblemError, IntakeError) as refusal:
        sign_ins.labels(refusal.rejection.code).inc()
        raise
    sign_ins.labels("ok").inc()
    state = request.app[STATE]
    expires_ms = state.clock.now_ms() + state.settings.session_seconds * 1000
    token, identity = request.app[CREDENTIALS].open_session(challenge.account, challenge.signer, expires_ms)
    log.info("signed in", account=hex_of(identity.account), signer=hex_of(identity.signer))
    opened = auth.OpenedSession(
        token=token,
        account=hex_of(identity.account),
        signer=hex_of(identity.signer),
        scopes=sorted(identity.scopes),
        expires_at=expires_ms,
    )
    response = answer(opened, 201)
    response.headers.update(NO_STORE)
    return response


async def get_session(request: web.Request) -> web.Response:
    """GET /v1/auth/session"""
    parameters(request)
    return answer(_info(identify(request)))


async def end_session(request: web.Request) -> web.Response:
    """DELETE /v1/auth/sessions/current"""
    parameters(request)
    identity = identify(request)
    if identity.key_id is not None:
        detail = f"an API key has no session; DELETE /v1/keys/{identity.key_id} revokes it"
        raise ProblemError(ApiCode.INSUFFICIENT_SCOPE, detail)
    request.app[CREDENTIALS].end_session(identity)
    return web.Response(status=204)


def _info(identity: Identity) -> auth.SessionInfo:
    return auth.SessionInfo(
        account=hex_of(identity.account),
        signer=hex_of(identity.signer),
        scopes=sorted(identity.scopes),
        expires_at=identity.expires_ms,
        key_id=identity.key_id,
    )


def _answered(request: web.Request, body: auth.SessionBody) -> Challenge:
    """The challenge that was signed. Raises ProblemError, IntakeError."""
    signature = parse_signature(body.signature)
    challenge = request.app[CHALLENGES].take(body.message, request.app[STATE].clock.now_ms())
    if challenge is None:
        detail = "the message is not one of POST /v1/auth/challenge, was used before, or its time is over; ask for one"
        raise ProblemError(ApiCode.UNKNOWN_CHALLENGE, detail, "message")
    signer = eip712.recover(personal_digest(body.message), signature)
    if signer is None:
        detail = "signature is no valid signature; its s must be low and its v 0, 1, 27 or 28"
        raise IntakeError(IntakeCode.INVALID_SIGNATURE, "signature", detail)
    if signer != challenge.signer:
        detail = f"the message names 0x{challenge.signer.hex()}, but 0x{signer.hex()} has signed; ask for another one"
        raise IntakeError(IntakeCode.SIGNER_MISMATCH, "signature", detail)
    _check_delegate(request, challenge.account, challenge.signer)
    return challenge


def _check_delegate(request: web.Request, account: Address, signer: Address) -> None:
    if signer != account and not request.app[CATALOGUE].is_delegate(account, signer):
        detail = f"0x{signer.hex()} does not sign for account 0x{account.hex()}"
        raise ProblemError(Code.NOT_DELEGATE, detail, "signer")


def _sign_in(request: web.Request, account: Address, signer: Address, now_ms: int, expires_ms: int) -> SignIn:
    domain = request.app[CATALOGUE].domain
    if domain is None:
        raise ProblemError(Code.NOT_CONFIGURED, "the exchange is starting; nobody can sign in yet")
    url = _public_url(request)
    return SignIn(
        domain=urlsplit(url).netloc,
        address=signer,
        statement=STATEMENT,
        uri=url,
        chain_id=domain.chain_id,
        nonce=secrets.token_hex(NONCE_BYTES),
        issued_ms=now_ms,
        expires_ms=expires_ms,
        resources=() if signer == account else (account_uri(domain.chain_id, account),),
    )


def _public_url(request: web.Request) -> str:
    """What the message binds the signature to. Never what the client calls us: another site could pass the message on
    under its own name, and sign in with the signature that it gets."""
    configured = request.app[STATE].settings.public_url
    if configured:
        return configured
    if request.transport is None:
        raise ProblemError(ApiCode.TIMEOUT, "the connection is gone")
    host, port = request.transport.get_extra_info("sockname")[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
