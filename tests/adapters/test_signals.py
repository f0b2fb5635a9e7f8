"""Signals to a real process: the first is an event, the next the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from fuseboard.adapters.signals import ONE_EVENT_S

CAUGHT = """
import anyio
from fuseboard.adapters.signals import caught

async def main():
    with caught(lambda: print("now", flush=True), first=lambda number: print(number.name, flush=True)) as ended:
        print("ready", flush=True)
        await ended.wait()
        print("ended", flush=True)
        await anyio.sleep(30 if {stays} else 0)

anyio.run(main, backend_options={{"use_uvloop": {uvloop}}})
print("cleaned", flush=True)
"""
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def started(*, stays: bool, uvloop: bool = True, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    script = CAUGHT.format(stays=stays, uvloop=uvloop)
    process = subprocess.Popen([*prefix, sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("uvloop", [True, False], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("number", NUMBERS, ids=[number.name for number in NUMBERS])
def test_the_first_signal_ends_in_order(number: signal.Signals, uvloop: bool) -> None:
    with started(stays=False, uvloop=uvloop) as process:
        process.send_signal(number)
        assert process.communicate(timeout=10)[0] == f"{number.name}\nended\ncleaned\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", NUMBERS, ids=[number.name for number in NUMBERS])
def test_the_next_ends_at_once(number: signal.Signals) -> None:
    with started(stays=True) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(ONE_EVENT_S + 0.1)
        process.send_signal(number)
        assert process.communicate(timeout=10)[0] == "SIGTERM\nended\nnow\n"
    assert process.returncode == 128 + number


def test_two_at_the_same_time_are_one() -> None:
    with started(stays=True) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(ONE_EVENT_S)
        process.kill()


def test_under_nohup_the_end_of_the_terminal_is_nothing() -> None:
    with started(stays=False, prefix=("/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh")) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.terminate()
        assert process.communicate(timeout=10)[0] == "SIGTERM\nended\ncleaned\n"
