"""Whether an upstream answers, and when it is tried again. The clock is the test's own."""

from __future__ import annotations

import logging

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.errors import UpstreamLost, UpstreamTimeout, UpstreamUnreachable
from fuseboard.upstreams.upstream import START_TIMEOUT_S, Upstream
from support.fake_server import FakeLink, FakeServer
from support.links import Inbound
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

DOWN = UpstreamUnreachable("u", "u is not there")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Stage:
    """An upstream, the server behind it, and the time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = FakeServer("u")
        self.upstream = Upstream(
            "u", self.server.facts, self.server.connect, prefixed=True, scoped=False, clock=self.clock
        )
        self.health = self.upstream.health

    async def connect(self) -> FakeLink:
        link = await self.upstream.connect(Era.HANDSHAKE, Inbound())
        assert isinstance(link, FakeLink)
        return link

    @property
    def pause_s(self) -> float:
        return self.health.retry_at - self.clock.now_s


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_at_first_nothing_is_known(stage: Stage) -> None:
    assert (stage.health.state, stage.health.error, stage.health.failures) == ("unknown", None, 0)
    assert stage.upstream.stateless is None


def test_what_it_defines_is_shown_under_its_names(stage: Stage) -> None:
    stage.upstream.definitions.unlisted("a.b")
    assert stage.upstream.names.own(stage.upstream.names.exposed("a.b")) == "a.b"


# States.


def test_an_answer_brings_it_up_and_a_failure_down_with_the_reason(stage: Stage) -> None:
    stage.upstream.answered()
    assert (stage.health.state, stage.health.error) == ("up", None)
    stage.upstream.failed(DOWN)
    assert (stage.health.state, stage.health.error) == ("down", "u is not there")
    stage.upstream.answered()
    assert (stage.health.state, stage.health.error) == ("up", None)


def test_each_change_is_told_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fuseboard.upstream"):
        for _ in range(3):
            stage.upstream.failed(DOWN)
        stage.upstream.failed(UpstreamLost("u", "u ended"))
        for _ in range(3):
            stage.upstream.answered()
    assert caplog.messages == ["upstream u is down: u is not there", "upstream u is down: u ended", "upstream u is up"]


# Pauses.


def test_the_pause_doubles_with_each_failure_up_to_a_minute(stage: Stage) -> None:
    pauses = []
    for _ in range(10):
        stage.upstream.failed(DOWN)
        pauses.append(stage.pause_s)
        stage.clock.now_s += stage.pause_s
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_upstream_that_is_down_for_weeks_is_still_tried_every_minute(stage: Stage) -> None:
    for _ in range(20_000):
        stage.upstream.failed(DOWN)
    assert stage.pause_s == 60


def test_an_answer_forgets_the_failures(stage: Stage) -> None:
    for _ in range(5):
        stage.upstream.failed(DOWN)
    stage.upstream.answered()
    stage.upstream.failed(DOWN)
    assert stage.pause_s == 0.5


async def test_during_the_pause_nothing_is_tried_and_the_reason_is_told(stage: Stage) -> None:
    for _ in range(3):
        stage.upstream.failed(DOWN)
    with pytest.raises(UpstreamUnreachable, match=r"u is down \(u is not there\); it will be tried again in 2 s"):
        await stage.connect()
    assert stage.server.links == []
    assert stage.health.failures == 3


async def test_a_short_pause_is_not_told_as_none(stage: Stage) -> None:
    stage.upstream.failed(DOWN)
    with pytest.raises(UpstreamUnreachable, match="it will be tried again in 1 s"):
        await stage.connect()


async def test_after_it_the_next_try_may_succeed(stage: Stage) -> None:
    stage.upstream.failed(DOWN)
    stage.clock.now_s += 0.5
    assert (await stage.connect()).open


# Connecting.


async def test_a_link_is_made_in_the_era_that_is_asked_for(stage: Stage) -> None:
    assert (await stage.connect()).era is Era.HANDSHAKE
    assert stage.health.state == "unknown"


async def test_a_try_that_fails_counts(stage: Stage) -> None:
    stage.server.down = "has no such file"
    with pytest.raises(UpstreamUnreachable, match="u has no such file"):
        await stage.connect()
    assert (stage.health.state, stage.health.error, stage.pause_s) == ("down", "u has no such file", 0.5)


async def test_one_that_never_gets_ready_is_given_up(stage: Stage) -> None:
    stage.server.gate = anyio.Event()
    before = anyio.current_time()
    with pytest.raises(UpstreamUnreachable, match="u did not answer within 60 s"):
        await stage.connect()
    assert anyio.current_time() - before == START_TIMEOUT_S
    assert stage.health.state == "down"


async def test_a_caller_that_gives_up_is_no_failure_of_the_upstream(stage: Stage) -> None:
    stage.server.gate = anyio.Event()
    with anyio.move_on_after(1):
        await stage.connect()
    assert (stage.health.state, stage.health.failures) == ("unknown", 0)


def test_a_timeout_names_upstream_method_and_time_and_that_the_outcome_is_unknown(stage: Stage) -> None:
    fault = stage.upstream.timed_out("tools/call", 1.5)
    assert isinstance(fault, UpstreamTimeout)
    assert fault.message == "u did not answer tools/call within 1.5 s; whether it took effect is unknown"
