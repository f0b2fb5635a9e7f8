import pytest

from fuseboard.adapters.stores.vault_memory import MemoryVault
from support.vaulting import AT, Opened, VaultContract, kept


@pytest.fixture
def opened() -> Opened:
    return MemoryVault


class TestMemoryVault(VaultContract):
    pass


async def test_it_ends_with_its_process() -> None:
    vault = MemoryVault(most_bytes=10)
    await vault.put(kept(), b"x")
    await vault.close()
    assert await vault.get("q-1", at=AT) is None
