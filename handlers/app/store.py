"""Which store the settings mean: for the service, and for who only looks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from service.metrics import Metrics
from service.settings import Settings
from service.store.redis.address import shown
from service.store.redis.client import Client
from service.store.redis.embedded import EmbeddedServer, default_directory


async def own_store(settings: Settings, stack: AsyncExitStack, metrics: Metrics) -> Client:
    """The store of a service: the one that is named, or an embedded one that is started where none lives.

    Raises StoreUnavailable.
    """
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        server = EmbeddedServer(default_directory(settings.xdg_state_home))
        url = await server.start()
        stack.push_async_callback(server.stop)
    return await _connected(url, settings, stack, metrics)


@asynccontextmanager
async def existing_store(settings: Settings) -> AsyncIterator[Client]:
    """The store of a service that runs; never starts one. Raises StoreUnavailable."""
    async with AsyncExitStack() as stack:
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
        else:
            url = EmbeddedServer(default_directory(settings.xdg_state_home)).running()
        yield await _connected(url, settings, stack)


def name_of_store(settings: Settings) -> str:
    """Where it is, without a password."""
    if settings.redis_url is not None:
        return shown(settings.redis_url.get_secret_value())
    return f"embedded in {default_directory(settings.xdg_state_home)}"


async def _connected(
    url: str, settings: Settings, stack: AsyncExitStack, metrics: Metrics | None = None
) -> Client:
    client = Client(url, replicas=settings.store_replicas, metrics=metrics)
    stack.push_async_callback(client.close)
    await client.ping()
    return client
