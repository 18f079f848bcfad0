"""Start, health, reflection, reload, drain, and the process as an operator runs it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.server.support import (
    angry_call,
    calm_call,
    eventually,
    kinds,
    make_config,
    running,
    write_policy,
)
from voiceguard.app import serve
from voiceguard.core.errors import ConfigurationError, ModelError, PolicyError
from voiceguard.server.auth import METHODS, MONITOR_SERVICE
from voiceguard.server.reviewing.accounts import Role
from voiceguard.server.reviewing.reviewers import add_token
from voiceguard.v1 import monitor_pb2 as pb

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", MONITOR_SERVICE])
async def test_health(server, service):
    stub = health_pb2_grpc.HealthStub(server.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == SERVING


async def list_services(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([request]))
    answer = await call.read()
    return [item.name for item in answer.list_services_response.service]


async def test_reflection_is_off_unless_asked(server, serving, tmp_path):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await list_services(server.channel)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    reviewers = tmp_path / "reviewers"
    add_token(reviewers, "acme", "ada", Role.REVIEWER)
    kept = {"keep_sessions": True, "data_dir": tmp_path / "data", "reviewers_file": reviewers}
    async with serving(reflection=True, **kept) as talkative:
        names = await list_services(talkative.channel)
    assert MONITOR_SERVICE in names
    assert {name.split("/")[1] for name in METHODS} == set(names)


async def test_a_drain_with_open_calls(serving):
    async with serving(drain_grace_s=0.4) as server:
        health = health_pb2_grpc.HealthStub(server.channel)
        staying, leaving, gone = server.call(), server.call(), server.call()
        await staying.open(make_config("staying"))
        await leaving.open(make_config("leaving"))
        await gone.open(make_config("gone"))
        gone.call.cancel()
        await eventually(lambda: server.server._desk.registry.detached == 1)
        await staying.send_audio(angry_call())
        draining = asyncio.create_task(server.server.drain())
        notice = (await leaving.receive_until("flow")).flow
        assert notice.kind == pb.FlowNotice.KIND_DRAINING
        checked = await health.Check(health_pb2.HealthCheckRequest())
        assert checked.status == NOT_SERVING
        late = server.call()
        await late.send(pb.MonitorRequest(config=make_config("late")))
        error = await late.expect_error()
        assert error.code is grpc.StatusCode.UNAVAILABLE
        assert error.retry_after_s is not None
        assert kinds(await leaving.play(calm_call(1)))[-1] == "summary"  # within its grace
        responses = await staying.rest()  # ended by the server
        assert kinds(responses)[-1] == "summary"
        assert responses[-1].summary.high_sensitivity
        await asyncio.wait_for(draining, 5)
        assert len(server.server._desk.registry) == 0


async def test_a_drain_without_calls_is_quick(serving):
    async with serving(drain_grace_s=30) as server:
        await asyncio.wait_for(server.server.drain(), 1)


async def test_reload_gives_new_sessions_new_policies(serving, tmp_path):
    write_policy(tmp_path, "default")
    async with serving(policies_dir=tmp_path) as server:
        before = server.call()
        opened = await before.open(make_config("before"))
        write_policy(tmp_path, "default", cooldown_s="61")
        write_policy(tmp_path, "second")
        assert server.server.reload()
        after = await server.call().open(make_config("after", policy="second"))
        changed = await server.call().open(make_config("changed"))
        assert after.policy_version.startswith("second@")
        assert changed.policy_version != opened.policy_version
        names = (await server.stub.GetCapabilities(pb.GetCapabilitiesRequest())).policies
        assert list(names) == ["default", "second"]


async def test_a_broken_policy_keeps_the_old_ones(serving, tmp_path):
    write_policy(tmp_path, "default")
    async with serving(policies_dir=tmp_path) as server:
        (tmp_path / "broken.toml").write_text("schema = 1\nname = ")
        assert not server.server.reload()
        await server.call().open()
        assert server.metric("voiceguard_reloads_total", result="failed") == 1
        (tmp_path / "broken.toml").unlink()
        assert server.server.reload()


async def test_two_policies_of_one_name_are_refused(serving, tmp_path):
    write_policy(tmp_path, "default")
    (tmp_path / "copy.toml").write_text((tmp_path / "default.toml").read_text())
    with pytest.raises(PolicyError, match="another file"):
        async with serving(policies_dir=tmp_path):
            pass


async def test_what_is_missing_is_said_at_the_start(settings, tmp_path):
    async def start(**changes):
        async with running(dataclasses.replace(settings, **changes)):
            pass

    with pytest.raises(PolicyError, match=r"no \*.toml"):
        await start(policies_dir=tmp_path)
    write_policy(tmp_path, "other")
    with pytest.raises(PolicyError, match="default"):
        await start(policies_dir=tmp_path)
    with pytest.raises(ModelError):
        await start(model_dir=tmp_path)


async def test_a_taken_address_is_refused(settings, server):
    taken = dataclasses.replace(settings, listen=server.address.target)
    with pytest.raises(ConfigurationError, match="taken"):
        async with running(taken):
            pass


async def test_a_unix_socket(settings, tmp_path):
    async with running(dataclasses.replace(settings, listen=f"unix:{tmp_path}/s")) as server:
        await server.call().open()


async def test_metrics_over_http(settings):
    async with running(dataclasses.replace(settings, metrics_listen="127.0.0.1:0")) as server:
        call = server.call()
        await call.open()
        await call.play(angry_call())
        await asyncio.sleep(1.2)  # sampled metrics are updated every second
        url = f"http://127.0.0.1:{server.address.metrics_port}/metrics"
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    for name in ("audio_seconds_total", "cpu_seconds_per_audio_second", "score_batch_size_count"):
        line = next(item for item in page.splitlines() if item.startswith(f"voiceguard_{name}"))
        assert float(line.rpartition(" ")[2]) > 0
    assert 'voiceguard_alerts_total{level="orange"} 1.0' in page
    assert 'voiceguard_handoffs_total{outcome="session_ended"} 1.0' in page
    assert "voiceguard_event_lag_seconds_bucket" in page
    assert "call-1" not in page


async def test_a_taken_metrics_address_is_refused(settings):
    async with running(dataclasses.replace(settings, metrics_listen="127.0.0.1:0")) as server:
        taken = f"127.0.0.1:{server.address.metrics_port}"
        with pytest.raises(ConfigurationError, match="metrics_listen"):
            async with running(dataclasses.replace(settings, metrics_listen=taken)):
                pass


SCRIPT = """
import asyncio, sys
from pathlib import Path
from voiceguard.app import serve
from voiceguard.server.settings import ServerSettings
settings = ServerSettings(listen="127.0.0.1:0", model_dir=Path(sys.argv[1]), log_format="json",
    policies_dir=Path(sys.argv[2]), metrics_listen="", drain_grace_s=float(sys.argv[3]),
    keep_sessions=False)
asyncio.run(serve(settings, on_ready=lambda address: print(address.target, flush=True)))
"""


async def start_process(model_dir: Path, policies: Path, grace_s: float):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, str(model_dir), str(policies), str(grace_s),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    target = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    return process, target


async def end_process(process) -> str:
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    return errors.decode()


async def test_signals_to_the_process(model_dir, tmp_path):
    from tests.server.support import Caller

    write_policy(tmp_path, "default")
    process, target = await start_process(model_dir, tmp_path, 0.3)
    async with grpc.aio.insecure_channel(target) as channel:
        call = Caller(channel)
        await call.open()
        (tmp_path / "broken.toml").write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        await call.send_audio(calm_call(1))
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        responses = await call.rest()
        assert {"flow", "summary"} <= set(kinds(responses))
    log = await end_process(process)
    assert "reload_failed" in log
    assert "broken.toml" in log
    assert "server_stopped" in log
    assert "Traceback" not in log


async def test_a_second_interrupt_ends_at_once(model_dir, tmp_path):
    from tests.server.support import Caller

    write_policy(tmp_path, "default")
    process, target = await start_process(model_dir, tmp_path, 60)
    async with grpc.aio.insecure_channel(target) as channel:
        call = Caller(channel)
        await call.open()
        process.send_signal(signal.SIGINT)
        await call.receive_until("flow")
        process.send_signal(signal.SIGINT)
        log = await end_process(process)
        assert "Traceback" not in log


def test_serve_is_what_the_script_runs():
    assert serve.__module__ == "voiceguard.app"
