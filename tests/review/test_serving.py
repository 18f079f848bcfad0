"""The page as a program, and what it may be told."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.review.conftest import sign_in
from tests.review.servicer import serving
from voiceguard.core.errors import ConfigurationError
from voiceguard.review import ReviewPageSettings, run

PROGRAM = """
import sys
from voiceguard.review import ReviewPageSettings, run
run(ReviewPageSettings(listen="127.0.0.1:0", server=sys.argv[1]))
"""


async def test_it_says_where_it_is_and_stops_with_streams_open(service) -> None:
    async with serving(service) as target:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-c", PROGRAM, target,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        line = (await asyncio.wait_for(program.stdout.readline(), 20)).decode()
        origin = line.removeprefix("voiceguard review is at ").strip().rstrip("/")
        async with httpx.AsyncClient(base_url=origin) as client:
            client.headers.update({"origin": origin, "x-voiceguard": "1"})
            await sign_in(client)
            await client.get("/api/sessions/call-worst")
            async with client.stream("GET", "/api/alerts") as alerts:
                assert alerts.status_code == 200
                await anext(alerts.aiter_lines())
                program.send_signal(signal.SIGINT)
                rest, said = await asyncio.wait_for(program.communicate(), 10)
    assert program.returncode == 0
    assert rest + said == b""


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"listen": "0.0.0.0:8080"}, "tls_certificate"),
        ({"listen": "review.example:80"}, "tls_certificate"),
        ({"listen": "8080"}, "host:port"),
        ({"listen": "::1:80"}, "host:port"),
        ({"listen": "127.0.0.1:99999"}, "host:port"),
        ({"server": "voiceguard.example:50051"}, "in the clear"),
        ({"server": "dns:///voiceguard.example:50051"}, "in the clear"),
        ({"tls_certificate": Path("a.pem")}, "together"),
        ({"client_key": Path("a.pem")}, "together"),
        ({"public_origin": "review.example"}, "public_origin"),
        ({"public_origin": "https://review.example/page"}, "public_origin"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, word) -> None:
    with pytest.raises(ConfigurationError, match=word):
        ReviewPageSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "[::1]:8080"},
        {"listen": "localhost:8080", "server": "[::1]:50051"},
        {"server": "unix:/run/voiceguard.sock"},
        {"server": "ipv4:127.0.0.1:50051"},
        {"server": "voiceguard.example:50051", "server_tls": True},
        {"listen": "0.0.0.0:8080", "public_origin": "https://review.example"},
    ],
)
def test_settings_that_keep_passwords_safe_are_taken(settings) -> None:
    assert ReviewPageSettings(**settings).hosts()


def test_a_certificate_that_is_none_is_named(tmp_path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    with pytest.raises(ConfigurationError, match="not a PEM certificate"):
        run(ReviewPageSettings(listen="127.0.0.1:0", tls_certificate=key, tls_private_key=key))


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match="choose another address"):
            run(ReviewPageSettings(listen=f"127.0.0.1:{port}"))
