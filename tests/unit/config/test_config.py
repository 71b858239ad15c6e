"""Sources of the configuration, their order, and what is said about mistakes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from offchain.__main__ import main
from offchain.api.admin.settings import Role
from offchain.app.common import refuse_other
from offchain.app.core import admin_settings
from offchain.config import Config, ConfigError, load, load_secrets, unknown_variables, variable
from offchain.domain.commands import Configure
from offchain.process import StartRefused

SECRET = "0x" + "5e" * 32


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*Config.model_fields, "config", "operator_key", "operator_passphrase"]:
        monkeypatch.delenv(variable(name), raising=False)


@pytest.fixture
def create_file(tmp_path):
    def create(text: str) -> Path:
        path = tmp_path / "crosspoint.toml"
        path.write_text(text)
        return path

    return create


def test_command_line_over_environment_over_file_over_default(monkeypatch, create_file):
    file = create_file("port = 1001\nbatch_fills = 101\nhost = 'file'")
    monkeypatch.setenv("CROSSPOINT_PORT", "1002")
    monkeypatch.setenv("CROSSPOINT_BATCH_FILLS", "102")
    config = load({"port": "1003"}, file)
    assert (config.port, config.batch_fills, config.host, config.queue_limit) == (1003, 102, "file", 4_096)


@pytest.mark.parametrize(
    ("given", "environment", "text", "message"),
    [
        ({"port": "70000"}, {}, "", r"port: .*65535 \(from the option --port\)"),
        ({}, {"CROSSPOINT_BATCH_FILLS": "many"}, "", r"batch_fills: .*integer.* \(from CROSSPOINT_BATCH_FILLS\)"),
        ({}, {}, "batch_fills = 0", r"batch_fills: .*greater than or equal to 1 \(from .*crosspoint.toml\)"),
        ({}, {}, "prot = 1", r"prot: Extra inputs are not permitted"),
        ({}, {}, "port = ", r"config: .*crosspoint.toml: Invalid value"),
        ({"rpc_url": "ftp://node"}, {}, "", "rpc_url: .*must start with http"),
        ({"log_level": "loud"}, {}, "", "log_level: "),
    ],
)
def test_mistakes_name_field_reason_and_source(monkeypatch, create_file, given, environment, text, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        load(given, create_file(text))


KEYS = {"admin_jwks_url": "https://id.example/jwks", "admin_issuer": "https://id.example", "admin_audience": "x"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"admin_jwks_file": "keys.json"}, "admin_jwks_url and admin_jwks_file: give one"),
        ({"admin_issuer": None}, "admin_issuer: needed"),
        ({"admin_issuer": None, "admin_audience": None}, "admin_issuer and admin_audience: needed"),
        ({"admin_jwks_url": None}, "admin_jwks_url or admin_jwks_file: needed"),
        ({"admin_jwks_url": "http://id.example/jwks"}, "admin_jwks_url: .*must start with https"),
        ({"admin_jwks_url": "ftp://localhost/jwks"}, "admin_jwks_url: .*must start with https"),
        ({"admin_max_token_seconds": "59"}, "admin_max_token_seconds: "),
    ],
)
def test_administration_is_configured_whole_or_not_at_all(changes, message):
    given = {name: value for name, value in (KEYS | changes).items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        load(given, None)


def test_administrators_are_those_whom_the_settings_name():
    assert admin_settings(load({}, None)) is None
    config = load(KEYS | {"admin_operator_groups": " ops, on-call,", "admin_manager_groups": ""}, None)
    settings = admin_settings(config)
    assert settings is not None
    assert (settings.issuer, settings.audience, settings.jwks_url) == (
        "https://id.example",
        "x",
        KEYS["admin_jwks_url"],
    )
    assert settings.groups == {
        Role.VIEWER: {"crosspoint-viewers"},
        Role.OPERATOR: {"ops", "on-call"},
        Role.MANAGER: frozenset(),
    }
    assert load(KEYS | {"admin_jwks_url": "http://127.0.0.1:8180/jwks"}, None).admin_jwks_url is not None


# ---------------------------------------------------------------------------------------------------------------------
# A start with other settings than the journal's
# ---------------------------------------------------------------------------------------------------------------------

STORED = Configure(31_337, b"\x01" * 20, 50, 1)


@pytest.mark.parametrize("change", [{"chain_id": 1}, {"confirmations": 2}, {"window": 60}, {"max_head_age_ms": 9}])
def test_what_is_fixed_refuses_the_start(change):
    with pytest.raises(StartRefused, match=f"{next(iter(change))}: the journal began with"):
        refuse_other(STORED, msgspec.structs.replace(STORED, **change))


def test_what_administrators_change_is_theirs():
    """A start with another limit neither undoes theirs nor is refused, and says so."""
    with capture_logs() as lines:
        refuse_other(STORED, STORED)
        assert lines == []
        refuse_other(msgspec.structs.replace(STORED, max_open_orders=7, price_band_bps=100), STORED)
    said = {line["name"]: (line["holds"], line["given"]) for line in lines}
    assert said == {
        "max_open_orders": (7, STORED.max_open_orders),
        "price_band_bps": (100, STORED.price_band_bps),
    }


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"config: .*nowhere\.toml is not a file"):
        load({}, tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("chain_id", "confirmations", "head_age_ms"),
    [(31_337, 1, 0), (1_337, 1, 0), (1, 12, 900_000), (424_242, 12, 900_000)],
)
def test_defaults_follow_the_chain(chain_id, confirmations, head_age_ms):
    config = load({"chain_id": str(chain_id)}, None)
    assert config.confirmations_on(chain_id) == confirmations
    assert config.max_head_age_ms_on(chain_id) == head_age_ms
    assert config.deployments_path == Path("deployments") / f"{chain_id}.json"


def test_given_numbers_win_over_the_chain():
    config = load({"confirmations": "3", "max_head_age_seconds": "60"}, None)
    assert config.confirmations_on(31_337) == 3
    assert config.max_head_age_ms_on(31_337) == 60_000


def test_secrets_are_taken_out_of_the_environment_and_never_shown(monkeypatch):
    monkeypatch.setenv("CROSSPOINT_OPERATOR_KEY", SECRET)
    secrets = load_secrets()
    assert secrets.operator_key is not None
    assert secrets.operator_key.get_secret_value() == SECRET
    assert SECRET not in repr(secrets) + str(secrets)
    assert load_secrets().operator_key is None


def test_misspelled_variables_are_noticed(monkeypatch):
    monkeypatch.setenv("CROSSPOINT_PROT", "1")
    monkeypatch.setenv("CROSSPOINT_OPERATOR_KEY", SECRET)
    assert unknown_variables() == ["CROSSPOINT_PROT"]


@pytest.mark.parametrize("command", ["serve", "core", "worker", "verify", "snapshot"])
def test_help_lists_every_setting_with_its_variable_and_default(command):
    text = " ".join(CliRunner().invoke(main, [command, "--help"]).output.split())
    for name, field in Config.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert f"env {variable(name)}" in text
        if field.default is not None and command == "serve":
            assert f"default {field.default}" in text
    assert "CROSSPOINT_OPERATOR_KEY" in text
    assert "--operator-key " not in text


def test_example_of_every_type_is_toml(create_file):
    file = create_file('log_format = "json"\nbatch_seconds = 2.5\ndata_dir = "somewhere"\nconfirmations = 5\n')
    config = load({}, file)
    assert config.batch_seconds == 2.5
    assert config.data_dir == Path("somewhere")
    assert tomllib.loads(file.read_text())["confirmations"] == config.confirmations


def test_bad_configuration_ends_with_status_78():
    result = CliRunner().invoke(main, ["serve", "--port", "high"])
    assert result.exit_code == 78
    assert "port" in result.output
    assert "from the option --port" in result.output


def test_bust_needs_to_know_what():
    for arguments in ([], ["--all-parked", "--fill-id", "0x00"]):
        result = CliRunner().invoke(main, ["settlement", "bust", *arguments])
        assert result.exit_code == 2
        assert "either --fill-id or --all-parked" in result.output
