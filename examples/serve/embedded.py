"""The server inside an application of your own: its API below a path, beside other routes, in one process.

    python examples/serve/embedded.py

What it prints is the answer to a request that goes through the API.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from cloche.serve.app import make_app
from cloche.serve.gateway import Gateway
from cloche.serve.ledger.base import SessionLedger
from cloche.serve.tenants import ServerConfig, TenantConfig, hash_key, new_key, read_secret


async def main() -> None:
    """Serve two requests, and end with everything stored."""
    key = new_key()
    with tempfile.TemporaryDirectory() as folder:
        tenants = {"mine": TenantConfig(keys=(hash_key(key),))}
        config = ServerConfig(store=Path(folder), workers=1, tenants=tenants)
        gateway = Gateway(config, read_secret(config.store), SessionLedger(config.store))

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
            await gateway.home.start()
            yield
            await gateway.drain(grace=5.0)

        app = FastAPI(lifespan=lifespan)
        app.mount("/sandboxes", make_app(gateway))

        @app.get("/hello")
        def hello() -> str:
            return "a route of the application's own"

        # A client that calls the application without a socket, in place of uvicorn.run(app).
        transport = httpx.ASGITransport(app)
        async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            print((await client.get("/hello")).json())
            headers = {"authorization": f"Bearer {key}"}
            answer = await client.post("/sandboxes/v1/runs", json={"code": "6 * 7"}, headers=headers)
            print("the sandbox says", answer.json()["value"])


if __name__ == "__main__":
    asyncio.run(main())
