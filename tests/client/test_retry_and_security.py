import random

import pytest

from voiceguard.client import ClientUsageError, MonitorClient, RetryPolicy, TlsOptions
from voiceguard.client.retry import RetryBudget
from voiceguard.client.security import is_local


def waits(policy, elapsed_s=0.0, retry_after_s=None):
    budget = RetryBudget(policy, random.Random(1))
    while (wait_s := budget.next_wait_s(elapsed_s, retry_after_s)) is not None:
        yield wait_s


def test_waits_grow_to_a_limit_and_are_spread():
    policy = RetryPolicy(tries=8, total_s=100, initial_s=0.1, longest_s=1.0)
    granted = list(waits(policy))
    assert len(granted) == 8
    longest = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert all(most / 2 <= wait <= most for wait, most in zip(granted, longest, strict=True))
    assert len(set(granted)) == 8


def test_there_is_an_end_to_the_time():
    assert list(waits(RetryPolicy(total_s=10), elapsed_s=9.99)) == []


def test_a_server_that_asks_for_time_gets_it():
    policy = RetryPolicy(tries=2, total_s=10)
    assert all(3 < wait < 3.3 for wait in waits(policy, retry_after_s=3.0))
    assert list(waits(policy, retry_after_s=11.0)) == []


def test_no_tries_is_a_policy_too():
    assert list(waits(RetryPolicy(tries=0))) == []


@pytest.mark.parametrize(
    "values", [{"tries": -1}, {"total_s": -1}, {"initial_s": 0}, {"multiplier": 0.5}]
)
def test_a_policy_that_makes_no_sense_cannot_be_made(values):
    with pytest.raises(ClientUsageError):
        RetryPolicy(**values)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:50051",
        "127.8.8.8:1",
        "localhost:50051",
        "[::1]:50051",
        "ipv4:127.0.0.1:50051",
        "dns:///localhost:50051",
        "unix:/run/voiceguard.sock",
        "ipv4:127.0.0.1:1,127.0.0.1:2",
    ],
)
def test_addresses_on_this_machine(address):
    assert is_local(address)
    MonitorClient(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1:50051",
        "voiceguard.example:443",
        "localhost.example:1",
        "0.0.0.0:50051",
        "[2001:db8::1]:50051",
        "dns:///voiceguard.example:443",
        "dns://127.0.0.1/voiceguard.example:443",
        "ipv4:127.0.0.1:1,10.0.0.1:2",
        "xds:///localhost",
    ],
)
def test_no_plaintext_to_another_machine_unless_asked_for(address):
    assert not is_local(address)
    with pytest.raises(ClientUsageError, match="allow_plaintext"):
        MonitorClient(address, token="secret")
    MonitorClient(address, token="secret", allow_plaintext=True)
    MonitorClient(address, token="secret", tls=TlsOptions())


def test_a_certificate_and_its_key_go_together(tmp_path):
    with pytest.raises(ClientUsageError, match="together"):
        TlsOptions(certificate_chain=b"pem")
    with pytest.raises(ClientUsageError, match="cannot read"):
        TlsOptions.from_files(tmp_path / "missing.pem")


def test_keys_do_not_show():
    options = TlsOptions(certificate_chain=b"certificate", private_key=b"secret")
    assert "secret" not in repr(options)
