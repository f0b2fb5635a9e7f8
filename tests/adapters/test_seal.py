from __future__ import annotations

import subprocess
import sys

import anyio
import pytest

from fuseboard.adapters.seal import LONGEST_TOKEN, SdkSeal
from fuseboard.errors import INVALID_PARAMS, ProtocolFault


async def refused(seal: SdkSeal, token: str) -> ProtocolFault:
    with pytest.raises(ProtocolFault) as fault:
        await seal.unseal(token)
    return fault.value


async def test_what_was_sealed_comes_back() -> None:
    seal = SdkSeal()
    assert await seal.unseal(await seal.seal(b'{"held":1}')) == b'{"held":1}'


async def test_a_token_shows_nothing_and_is_never_the_same_twice() -> None:
    seal = SdkSeal()
    one, other = await seal.seal(b"secret of ada"), await seal.seal(b"secret of ada")
    assert one != other
    assert "secret" not in one


@pytest.mark.parametrize("edit", [lambda t: t[:-2] + ("AA" if t[-2:] != "AA" else "BB"), lambda t: t[3:], lambda t: ""])
async def test_an_altered_token_is_refused_without_a_reason(edit: object) -> None:
    seal = SdkSeal()
    token = await seal.seal(b"payload")
    fault = await refused(seal, edit(token))  # type: ignore[operator]
    assert fault.code == INVALID_PARAMS
    assert fault.message == "not a token of this process, or altered since"


async def test_another_process_has_another_key() -> None:
    token = await SdkSeal().seal(b"payload")
    assert (await refused(SdkSeal(), token)).code == INVALID_PARAMS


async def test_a_token_of_any_length_costs_nothing_to_refuse() -> None:
    seal = SdkSeal()
    await refused(seal, "v1." + "A" * LONGEST_TOKEN)
    assert seal._codec is None


async def test_letters_outside_the_alphabet_are_refused_like_the_rest() -> None:
    await refused(SdkSeal(), "v1.schön\ud800")


async def test_many_at_once_fetch_one_codec() -> None:
    seal = SdkSeal()
    tokens: list[str] = []

    async def make() -> None:
        tokens.append(await seal.seal(b"x"))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(make)
    assert [await seal.unseal(token) for token in tokens] == [b"x"] * 5


def test_a_seal_that_is_not_used_does_not_load_the_sdk() -> None:
    code = (
        "import sys; from fuseboard.adapters.seal import SdkSeal; SdkSeal();"
        "sys.exit('mcp' in sys.modules or 'cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
