"""A Triton look-alike that answers `y = 2 x` at once: what the generator itself costs and holds.

`python -m load.fake_server` listens on 127.0.0.1:8000 (HTTP) and :8001 (gRPC) until it is ended.
It speaks only the binary form of one FP32 input `x`, which is what `load` sends.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import numpy as np
from aiohttp import web
from tritonclient.grpc import service_pb2, service_pb2_grpc


def _double(raw: bytes) -> bytes:
    doubled: bytes = (np.frombuffer(raw, np.float32) * np.float32(2)).tobytes()
    return doubled


async def _infer_http(request: web.Request) -> web.Response:
    body = await request.read()
    header_length = int(request.headers["Inference-Header-Content-Length"])
    (tensor,) = json.loads(body[:header_length])["inputs"]
    output = _double(body[header_length:])
    header = json.dumps(
        {
            "model_name": request.match_info["model"],
            "outputs": [
                {
                    "name": "y",
                    "datatype": "FP32",
                    "shape": tensor["shape"],
                    "parameters": {"binary_data_size": len(output)},
                }
            ],
        }
    ).encode()
    return web.Response(
        body=header + output, headers={"Inference-Header-Content-Length": str(len(header))}
    )


class _Grpc(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        response.outputs.add(name="y", datatype="FP32", shape=request.inputs[0].shape)
        response.raw_output_contents.append(_double(request.raw_input_contents[0]))
        return response


@asynccontextmanager
async def fake_server(http_port: int = 0, grpc_port: int = 0) -> AsyncIterator[tuple[int, int]]:
    """Serve on the loopback; yields the ports, chosen by the system where they are 0."""
    app = web.Application()
    app.router.add_post("/v2/models/{model}/infer", _infer_http)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", http_port)
    await site.start()
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Grpc(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    try:
        yield runner.addresses[0][1], bound
    finally:
        await server.stop(grace=None)
        await runner.cleanup()


async def _serve() -> None:
    async with fake_server(8000, 8001) as (http, grpc_):
        print(f"HTTP on {http}, gRPC on {grpc_}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
