"""Builds the client of the store from the settings, for the service and for commands that only read."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from service.metrics import Metrics
from service.settings import Settings
from service.store.redis.address import without_credentials
from service.store.redis.client import Client
from service.store.redis.embedded import EmbeddedServer, default_directory


async def open_store(settings: Settings, stack: AsyncExitStack, metrics: Metrics) -> Client:
    """The store of a service: the one that is named, or an embedded one that is started where none lives.

    Raises StoreUnavailable.
    """
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        server = EmbeddedServer(default_directory(settings.xdg_state_home))
        url = await server.start()
        stack.push_async_callback(server.stop)
    return await _connect(url, settings, stack, metrics)


@asynccontextmanager
async def open_existing_store(settings: Settings) -> AsyncIterator[Client]:
    """The store of a service that runs; never starts one. Raises StoreUnavailable."""
    async with AsyncExitStack() as stack:
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
        else:
            url = EmbeddedServer(default_directory(settings.xdg_state_home)).url_of_running()
        yield await _connect(url, settings, stack)


def store_name(settings: Settings) -> str:
    """Where it is, without a password."""
    if settings.redis_url is not None:
        return without_credentials(settings.redis_url.get_secret_value())
    return f"embedded in {default_directory(settings.xdg_state_home)}"


async def _connect(
    url: str, settings: Settings, stack: AsyncExitStack, metrics: Metrics | None = None
) -> Client:
    client = Client(url, replicas=settings.store_replicas, metrics=metrics)
    stack.push_async_callback(client.close)
    await client.ping()
    return client
