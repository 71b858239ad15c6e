"""What handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from offchain.api.actions import ActionDesk
from offchain.api.admin.tokens import Verifier
from offchain.api.answers import AnswerStore
from offchain.api.breaker import Breaker
from offchain.api.challenges import Challenges
from offchain.api.credentials import Credentials, Identity
from offchain.api.desk import Desk
from offchain.api.life import Life
from offchain.api.limits import Limits, Use
from offchain.api.outbox import Outbox
from offchain.api.present import Presenter
from offchain.api.rates import Rates
from offchain.api.readback import Readback
from offchain.api.state import ApiState
from offchain.api.stream import Hub
from offchain.catalogue import Catalogue
from offchain.intake import Intake
from offchain.metrics import CoreMetrics

ADMIN = web.AppKey("admin", Verifier)
"""only where there are administrators"""
STATE = web.AppKey("state", ApiState)
ACTION_DESK = web.AppKey("action_desk", ActionDesk)
BREAKER = web.AppKey("breaker", Breaker)
CATALOGUE = web.AppKey("catalogue", Catalogue)
CHALLENGES = web.AppKey("challenges", Challenges)
CREDENTIALS = web.AppKey("credentials", Credentials)
DESK = web.AppKey("desk", Desk)
IDEMPOTENCY = web.AppKey("idempotency", AnswerStore)
INTAKE = web.AppKey("intake", Intake)
PRESENT = web.AppKey("present", Presenter)
RATES = web.AppKey("rates", Rates)
READBACK = web.AppKey("readback", Readback)
HUB = web.AppKey("hub", Hub)
LIFE = web.AppKey("life", Life)
LIMITS = web.AppKey("limits", Limits)
METRICS = web.AppKey("metrics", CoreMetrics)
OUTBOX = web.AppKey("outbox", Outbox)

REQUEST_ID = web.RequestKey("request_id", str)
IDENTITY = web.RequestKey("identity", Identity)
"""who sent the request, once somebody has asked"""
USES: web.RequestKey[list[Use]] = web.RequestKey("uses", list)
"""budgets that the request was charged to"""
