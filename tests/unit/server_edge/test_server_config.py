"""The configuration file: defaults, and every error of a bad one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from jit_server import config

SHIPPED = Path(__file__).parents[3] / "packaging" / "etc" / "server.toml"


def test_an_empty_file_and_no_file_mean_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "server.toml").touch()
    assert config.load(tmp_path / "server.toml") == config.load(tmp_path / "missing.toml") == config.parse({})
    assert config.parse({}).database == "sqlite+aiosqlite:////var/lib/jit-server/jit.db"


def test_recordings_are_in_the_state_directory_unless_told_otherwise() -> None:
    assert config.parse({}).recordings == Path("/var/lib/jit-server/recordings")
    assert config.parse({"state": "/srv/jit"}).recordings == Path("/srv/jit/recordings")
    assert config.parse({"recordings": "/srv/recordings"}).recordings == Path("/srv/recordings")
    with pytest.raises(config.ConfigError, match="recordings: 'here' is not an absolute path"):
        config.parse({"recordings": "here"})


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="no such file"):
        config.load(tmp_path / "missing.toml", required=True)


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    shown = "\n".join(line.removeprefix("#") for line in text.splitlines() if line.startswith("#") and " = " in line)
    values = tomllib.loads(shown)
    assert config.parse(values) == config.parse(tomllib.loads(text)) == config.parse({})
    assert set(values) == {"state", "database", "recordings", "listen", "listen_bootstrap", "advertise", "issuer"}


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('listen = 7443\nstate = "relative"\nadvertise = "a b"\nlissten = ""\n', encoding="utf-8")
    with pytest.raises(config.ConfigError) as caught:
        config.load(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert any("lissten: unknown key; known are state, database" in line for line in lines)


def test_a_file_that_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("\nlisten =\n", encoding="utf-8")
    with pytest.raises(config.ConfigError, match="line 2"):
        config.load(file)


@pytest.mark.parametrize("text", ["7443", "host:", "host:70000", ":7443", "host:x", "host:٣", "host:-1"])
def test_an_address_must_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        config.Address.parse(text)


def test_addresses_read_as_they_are_written() -> None:
    for text in ("127.0.0.1:7443", "[::]:7444", "jit.example.org:1"):
        assert str(config.Address.parse(text)) == text


def test_a_database_password_is_never_repeated() -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse({"database": "mysql://jit:hunter2@db/jit"})
    assert "hunter2" not in str(caught.value)
    assert "mysql" in str(caught.value)


def test_database_urls_get_our_drivers() -> None:
    url = config.database_url("postgresql://jit:secret@db/jit", Path("/state"))
    assert url == "postgresql+psycopg://jit:secret@db/jit"
    assert config.database_url("sqlite:////srv/jit.db", Path("/state")) == "sqlite+aiosqlite:////srv/jit.db"


def test_a_rota_is_a_file_or_a_web_service() -> None:
    parsed = config.parse(
        {
            "on_call": {
                "dba": {"file": "/etc/jit/rotas.yaml"},
                "web": {"url": "https://pager.example.org/web?x=1", "token_file": "/etc/jit/token", "ca_file": ""},
            }
        }
    )
    assert parsed.on_call == {
        "dba": config.RotaFile(Path("/etc/jit/rotas.yaml")),
        "web": config.RotaWebhook("https://pager.example.org/web?x=1", Path("/etc/jit/token"), None),
    }
    assert config.parse({}).on_call == {}


@pytest.mark.parametrize(
    ("rota", "message"),
    [
        ({}, "on_call.dba: a rota has either a file or a url"),
        ({"file": "/a", "url": "https://a.example"}, "on_call.dba: a rota has either a file or a url"),
        ({"file": "a.yaml"}, "on_call.dba.file: 'a.yaml' is not an absolute path"),
        ({"file": "/a", "token_file": "/t"}, "on_call.dba: token_file and ca_file belong to a url"),
        ({"url": "http://a.example"}, "on_call.dba.url: 'http://a.example' is not a URL that begins with https://"),
        ({"url": "https:///x"}, "on_call.dba.url: 'https:///x' is not a URL that begins with https://"),
        ({"url": "https://u:p@a.example/"}, "on_call.dba.url: no password in the URL: put a token into token_file"),
        ({"url": "https://a.example:99999/"}, "is not a URL that begins with https://"),
        ({"path": "/a"}, "on_call.dba.path: unknown key; known are file, url, token_file, ca_file"),
    ],
)
def test_a_rota_that_is_neither_is_told_with_its_name(rota: dict[str, str], message: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse({"on_call": {"dba": rota}})
    assert message in str(caught.value)


def test_the_name_of_a_rota_is_plain() -> None:
    with pytest.raises(config.ConfigError, match="cannot be the name of a rota"):
        config.parse({"on_call": {"d b": {"file": "/a"}}})
