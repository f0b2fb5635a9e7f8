import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long it takes to draw an example says how busy the machine is, not what is wrong with the code.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def our_logs() -> Iterator[None]:
    """Whatever an earlier test, or a library that sets up logging, made of it: here our loggers speak."""
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "fuseboard" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
    level = logging.root.level
    yield
    logging.root.setLevel(level)
