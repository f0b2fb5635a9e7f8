from collections.abc import AsyncIterator

import anyio
import anyio.abc
import pytest

from fuseboard.adapters.upstream.pool import HttpPool


@pytest.fixture
async def pool() -> AsyncIterator[HttpPool]:
    """Connections for one test, which may take ten seconds and no more."""
    pool = HttpPool()
    with anyio.fail_after(10):
        yield pool
        await pool.close()


@pytest.fixture
async def tasks() -> AsyncIterator[anyio.abc.TaskGroup]:
    """Where a link runs what outlives a call."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()
