"""Settings of the service: command line, then environment (`CROSSPOINT_*`), then a TOML file, then defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

PREFIX = "CROSSPOINT_"

LOCAL_CHAINS = (31337, 1337)
"""Chains of development nodes, whose blocks are final at once."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

PUBLIC_CONFIRMATIONS = 12

PUBLIC_MAX_HEAD_AGE_MS = 900_000
"""A quarter of the settlement window."""


class ConfigError(Exception):
    """The configuration cannot be used; the message names each field and the reason."""


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Config(BaseSettings):
    """Everything except the operator's key, which only the worker reads (`OperatorSecrets`)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    # where
    data_dir: Path = Field(Path("data"), description="folder of the journal, the views and the socket")
    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(8080, ge=0, le=65_535, description="port that the API listens on; 0: any free one")
    public_url: str | None = Field(
        None,
        description="under which clients know the API, such as https://exchange.example; what they sign to sign in "
        "names it; default: http:// and the address and port at which a request arrives",
    )
    rpc_url: str = Field("http://127.0.0.1:8545", description="Ethereum node, JSON-RPC over HTTP; may hold a secret")
    chain_id: int = Field(31_337, ge=1, description="chain that the exchange is deployed on")
    deployments_file: Path | None = Field(
        None, description="addresses, as the deploy script wrote them; default: deployments/<chain_id>.json"
    )
    operator_keyfile: Path | None = Field(
        None, description="operator's key as an Ethereum keyfile; its passphrase is CROSSPOINT_OPERATOR_PASSPHRASE"
    )

    # chain
    confirmations: int | None = Field(
        None, ge=1, le=256, description="blocks until credits count; default: 1 on chains 31337 and 1337, else 12"
    )
    max_head_age_seconds: int | None = Field(
        None,
        ge=0,
        description="age of the newest block above which only cancels and post-only orders are taken, 0: any age; "
        "default: 0 on chains 31337 and 1337, else 900",
    )
    head_poll_ms: int = Field(500, ge=20, le=60_000, description="pause between two looks at the chain's head, ms")
    oracle_poll_ms: int = Field(1_000, ge=20, le=10_000, description="pause between two looks at the oracles, ms")
    rpc_timeout_ms: int = Field(20_000, ge=100, le=300_000, description="time for one answer of the node, ms")

    # settlement
    batch_fills: int = Field(500, ge=1, le=2_000, description="fills after which a batch is closed")
    batch_seconds: float = Field(30.0, gt=0, le=600, description="age of the oldest fill at which a batch is closed")
    gas_percent: int = Field(80, ge=1, le=95, description="part of the transaction gas cap that a batch may use, %")
    max_fee_gwei: int = Field(500, ge=1, description="highest gas price that the operator pays, gwei")
    payout_poll_seconds: float = Field(
        60.0, gt=0, description="pause between two looks for withdrawals as CXPT whose window has passed"
    )
    stuck_seconds: float = Field(60.0, gt=0, description="wait until a transaction is replaced at a higher price")
    settle_poll_ms: int = Field(200, ge=10, le=60_000, description="pause between two looks for what to settle, ms")

    # limits
    max_open_orders: int = Field(10_000, ge=1, description="open orders per account")
    price_band_percent: int = Field(
        50, ge=0, le=10_000, description="how far beyond the best opposite price an order may reach, %; 0: any price"
    )
    max_inflight: int = Field(4_096, ge=1, description="orders, and as many cancels, that the API works on at one time")
    max_body_bytes: int = Field(16_384, ge=1_024, le=1_048_576, description="largest request body")
    queue_limit: int = Field(4_096, ge=1, le=65_536, description="commands that may wait for the core")
    max_sockets: int = Field(1_000, ge=1, description="WebSocket connections")
    max_sockets_per_address: int = Field(50, ge=0, description="WebSocket connections of one address; 0: any number")
    session_seconds: int = Field(
        86_400, ge=60, le=2_592_000, description="time for which one stays signed in; a restart ends all sessions"
    )
    challenge_seconds: int = Field(300, ge=10, le=3_600, description="time to sign what one signs in with")
    max_sessions: int = Field(65_536, ge=1, description="open sessions; beyond, those that end first are closed")
    submit_timeout_ms: int = Field(5_000, ge=100, le=60_000, description="time for the core to answer a command, ms")
    breaker_failures: int = Field(
        20, ge=0, description="unanswered orders and cancels in a row after which orders are refused at once; 0: never"
    )
    breaker_seconds: float = Field(
        2.0, gt=0, le=30, description="time until one order is let through again to try; doubled while that fails"
    )
    snapshot_events: int = Field(50_000, ge=100, description="events between two snapshots")
    drain_seconds: float = Field(
        60.0, ge=0, le=3_600, description="time that a stopping service has to settle what is pending"
    )

    # budgets
    limit_window_seconds: int = Field(
        10, ge=1, le=3_600, description="time over which budgets are counted; what it brings may be spent at once"
    )
    limit_address_requests: float = Field(
        100, ge=0, description="requests per second of one address, except cancels; here and below 0: no limit"
    )
    limit_address_cancels: float = Field(100, ge=0, description="cancels per second of one address")
    limit_address_sign_ins: float = Field(
        5, ge=0, description="challenges, sign-ins and new API keys per second of one address"
    )
    limit_account_orders: float = Field(50, ge=0, description="orders per second of one account")
    limit_account_cancels: float = Field(100, ge=0, description="cancels per second of one account")
    limit_actions: float = Field(
        240, ge=0, description="transactions on chain that all accounts together may ask for per hour"
    )
    limit_account_actions: float = Field(
        30, ge=0, description="transactions on chain that one account may ask for per hour; the operator pays their gas"
    )
    limit_socket_messages: float = Field(10, ge=0, description="messages per second of one WebSocket")
    limit_keys: int = Field(65_536, ge=1, description="addresses, and accounts, whose budgets are remembered")
    proxy_hops: int = Field(
        0, ge=0, le=16, description="reverse proxies before the API, each of which appends to X-Forwarded-For; 0: none"
    )

    # administrators
    admin_jwks_url: str | None = Field(
        None,
        description="where the identity provider of administrators publishes its keys; without it and the file "
        "there is no administration over HTTP",
    )
    admin_jwks_file: Path | None = Field(None, description="the same keys in a file, as a JSON Web Key Set")
    admin_issuer: str | None = Field(None, description="issuer of administrators' tokens: their iss")
    admin_audience: str | None = Field(None, description="whom administrators' tokens are for: their aud")
    admin_groups_claim: str = Field("groups", min_length=1, description="claim of a token that lists groups")
    admin_viewer_groups: str = Field(
        "crosspoint-viewers", description="groups, separated by commas, that may read; the others may as well"
    )
    admin_operator_groups: str = Field(
        "crosspoint-operators", description="groups that halt, resume, and resolve what settlement cannot"
    )
    admin_manager_groups: str = Field(
        "crosspoint-managers", description="groups that create and change markets, fee and limits"
    )
    admin_max_token_seconds: int = Field(
        3_600, ge=60, le=86_400, description="longest life of an administrator's token, from iat to exp"
    )

    # metrics
    worker_metrics_host: str = Field("127.0.0.1", description="address that serves the worker's GET /metrics")
    worker_metrics_port: int = Field(
        8081, ge=0, le=65_535, description="port that serves the worker's GET /metrics; 0: any free one"
    )

    # processes
    dedicate_cpu: bool = Field(
        True, description="whether the core has the last of the CPUs for itself and the worker uses the others; Linux"
    )

    # log
    log_level: LogLevel = Field(LogLevel.INFO, description="least severity that is logged")
    log_format: LogFormat = Field(LogFormat.CONSOLE, description="form of the log on standard error")

    @field_validator("rpc_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("admin_jwks_url")
    @classmethod
    def _private(cls, value: str | None) -> str | None:
        if value is not None:
            url = urlsplit(value)
            if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
                raise ValueError(
                    "must start with https://, or with http:// on this machine: whoever changes it on its "
                    "way chooses the administrators"
                )
        return value

    @model_validator(mode="after")
    def _whole_administration(self) -> Self:
        sources = (self.admin_jwks_url, self.admin_jwks_file)
        if all(sources):
            raise ValueError("admin_jwks_url and admin_jwks_file: give one of them")
        given = {"admin_issuer": self.admin_issuer, "admin_audience": self.admin_audience}
        missing = [name for name, value in given.items() if not value]
        if any(sources) and missing:
            raise ValueError(f"{' and '.join(missing)}: needed beside the keys of administrators' tokens")
        if not any(sources) and len(missing) < len(given):
            raise ValueError("admin_jwks_url or admin_jwks_file: needed beside admin_issuer and admin_audience")
        return self

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("must be http:// or https:// and a host")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must have no path")
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def deployments_path(self) -> Path:
        """The deployments file that is meant."""
        return self.deployments_file or Path("deployments") / f"{self.chain_id}.json"

    def confirmations_on(self, chain_id: int) -> int:
        """Confirmations that are meant for the chain."""
        if self.confirmations is not None:
            return self.confirmations
        return 1 if chain_id in LOCAL_CHAINS else PUBLIC_CONFIRMATIONS

    def max_head_age_ms_on(self, chain_id: int) -> int:
        """Age of the newest block that is meant for the chain, milliseconds; 0 if it is not checked."""
        if self.max_head_age_seconds is not None:
            return self.max_head_age_seconds * 1000
        return 0 if chain_id in LOCAL_CHAINS else PUBLIC_MAX_HEAD_AGE_MS

    @property
    def socket_path(self) -> Path:
        return self.data_dir / "core.sock"

    @property
    def views_path(self) -> Path:
        return self.data_dir / "views.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (given as arguments) over environment over file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class OperatorSecrets(BaseSettings):
    """The operator's key: environment only, so that it is in no file of ours and in no process list."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    operator_key: SecretStr | None = Field(default=None, description="operator's private key, 32 bytes in hex")
    operator_passphrase: SecretStr | None = Field(default=None, description="passphrase of the operator's keyfile")


SECRET_VARIABLES = tuple(PREFIX + name.upper() for name in OperatorSecrets.model_fields)


def load(given: Mapping[str, Any], file: Path | None) -> Config:
    """The configuration from all sources; `given` are the options of the command line.

    Raises ConfigError.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"config: {file} is not a file")
    model = type("Config", (Config,), {"model_config": SettingsConfigDict(toml_file=file)}) if file else Config
    try:
        config = model(**given)
    except ValidationError as error:
        raise ConfigError(_explain(error, given, file)) from None
    except ValueError as error:
        raise ConfigError(f"config: {file}: {error}") from None
    assert isinstance(config, Config)
    return config


def load_secrets() -> OperatorSecrets:
    """Take the operator's secrets out of the environment, where a child or a crash report could find them.

    Raises ConfigError.
    """
    try:
        secrets = OperatorSecrets()
    except ValidationError as error:
        raise ConfigError(_explain(error, {}, None)) from None
    for name in SECRET_VARIABLES:
        os.environ.pop(name, None)
    return secrets


def variable(field: str) -> str:
    """Name of the environment variable of a field."""
    return PREFIX + field.upper()


def unknown_variables() -> list[str]:
    """Variables with our prefix that nothing reads: misspelled ones, perhaps."""
    known = {variable(name) for name in Config.model_fields} | {*SECRET_VARIABLES, variable("config")}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def default_text(field: FieldInfo) -> str:
    """A field's default as help shows it; empty where its description says it."""
    return "" if field.default is None else str(field.default)


def _explain(error: ValidationError, given: Mapping[str, Any], file: Path | None) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else "configuration"
        lines.append(f"{field}: {problem['msg']} ({_source(field, given, file)})")
    return "; ".join(lines)


def _source(field: str, given: Mapping[str, Any], file: Path | None) -> str:
    if field in given:
        return f"from the option --{field.replace('_', '-')}"
    if variable(field) in os.environ:
        return f"from {variable(field)}"
    return f"from {file}" if file else "default"
