"""nginx with the configuration of examples/ in front of an application on two nodes: requests go to the active one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from lab.pair import Pair
from tests.integration.load_balancers.balancer import example, need, port_of, reserved, running
from tests.integration.load_balancers.roles import give_roles
from tests.tier import in_full_tier


@asynccontextmanager
async def application(name: str, port: int) -> AsyncIterator[None]:
    """An application that says where it runs and gives the body back; it is broken under /broken."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        body = name.encode() + b" " + await reader.readexactly(length)
        status = b"500 Broken" if "/broken" in head else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def nginx(pair: Pair, folder: Path) -> AsyncIterator[str]:
    """Run nginx as the example has it, with the addresses of this pair; gives its own."""
    program = need("nginx")
    with reserved("nginx", "one", "two") as bound:
        replacements = {
            "listen 80;": f"listen 127.0.0.1:{bound['nginx']};",
            "/var/cache/nginx/warmstandby": str(folder / "cache"),
            "/etc/nginx/warmstandby-ca.pem": str(folder / "ca.pem"),
        }
        for name, node in zip(("one", "two"), pair.nodes, strict=True):
            replacements[f"server {name}.example:8440;"] = f"server 127.0.0.1:{port_of(node)};"
            replacements[f"server {name}.example:8080;"] = f"server 127.0.0.1:{bound[name]};"
        places = "".join(
            f"{what}_temp_path {folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;\n"
            f"events {{}}\nhttp {{ access_log off; {places}\n{example('nginx.conf', replacements)}}}\n",
            encoding="utf-8",
        )
        command = [program, "-c", str(config), "-p", str(folder), "-e", "stderr"]
        checked = await asyncio.create_subprocess_exec(*command, "-t", "-q")
        assert await checked.wait() == 0
        async with AsyncExitStack() as stack:
            for name in ("one", "two"):
                await stack.enter_async_context(application(name, bound[name]))
            stack.enter_context(running(command, folder, bound["nginx"]))
            yield f"http://127.0.0.1:{bound['nginx']}"


@in_full_tier
async def test_requests_go_to_the_active_node(pair: Pair, tmp_path: Path) -> None:
    """Nobody is active: 503. What the application answers comes back as it is, from one node at a time."""
    primary, secondary = pair.nodes
    async with nginx(pair, tmp_path) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:

        async def ask(path: str = "/") -> str:
            return (await http.get(path)).text

        nobody = await http.get("/")
        assert (nobody.status_code, nobody.headers["Retry-After"]) == (503, "2")

        for round_number, (active, name) in enumerate(((primary, "one "), (secondary, "two "))):
            await asyncio.to_thread(give_roles, pair, active, round_number=round_number)
            await asyncio.sleep(1.5)
            assert {await ask() for _ in range(20)} == {name}
            sent = await http.post("/form", content=b"x" * 100_000)
            assert (sent.status_code, sent.text) == (200, name + "x" * 100_000)
            broken = await http.get("/broken")
            assert (broken.status_code, broken.text) == (500, name)
        assert (await http.get("/-/one-is-active")).status_code == 404
