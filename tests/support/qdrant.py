"""A part of Qdrant's HTTP interface on loopback, over the client's in-process engine.

The real client speaks to it as to a server: addresses, bodies and answers are those of Qdrant 1.x.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it is slow to import
    from qdrant_client import QdrantClient


def engine_in_memory() -> "QdrantClient":
    """Make the client's in-process engine, empty."""
    from qdrant_client import QdrantClient

    return QdrantClient(":memory:")


class Handler(BaseHTTPRequestHandler):
    engine: "QdrantClient"
    refuse = False  # every request, as a full disk would

    def handle_request(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if self.refuse:
            return self.reply(507, {"status": {"error": "No space left on device"}})
        _, _, *rest = path.split("/")
        result = self.result(rest, json.loads(content) if content else {})
        return self.reply(200, {"result": result, "status": "ok", "time": 0.001})

    def result(self, path: list[str], body: dict[str, Any]) -> Any:
        from qdrant_client import models

        engine = self.engine
        match self.command, path:
            case "GET", []:
                return engine.get_collections().model_dump()
            case "GET", [name, "exists"]:
                return {"exists": engine.collection_exists(name)}
            case "PUT", [name]:
                sizes = models.VectorParams.model_validate(body["vectors"])
                return engine.create_collection(name, vectors_config=sizes)
            case "POST", [name, "points", "count"]:
                return {"count": engine.count(name).count}
            case "PUT", [name, "points"]:
                engine.upsert(name, models.Batch.model_validate(body["batch"]))
                return {"operation_id": 1, "status": "completed"}
            case "POST", [name, "points", "query", "batch"]:
                asked = models.QueryRequestBatch.model_validate(body).searches
                answers = engine.query_batch_points(name, asked)
                return [answer.model_dump() for answer in answers]
        raise AssertionError(f"{self.command} {self.path}")

    def reply(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = handle_request  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def qdrant_server(*, refuse: bool = False) -> Iterator[str]:
    """Serve an empty Qdrant; yield its address, `qdrant://host:port`."""
    state = {"engine": engine_in_memory(), "refuse": refuse}
    with HTTPServer(("127.0.0.1", 0), type("Serving", (Handler,), state)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"qdrant://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
