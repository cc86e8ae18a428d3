"""The child process of the embedded engine: llama.cpp's server around one GGUF file.

It runs apart from the gateway because the engine's threads would starve the event loop and a
crash of it must not take the gateway along. The API key comes by standard input, not by the
command line, where every user of the machine could read it; when that input closes, the parent
is gone, and so is the child.
"""

import os
import sys

import orjson
import xllamacpp

CONTEXT = 8192
SLOTS = 2


def main() -> None:
    """Serve until standard input closes; print one JSON line with the address when ready."""
    order = orjson.loads(sys.stdin.buffer.readline())
    params = xllamacpp.CommonParams()
    params.model.path = order["model_path"]
    params.model_alias = {order["model_name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = order["port"]
    params.api_keys = [order["api_key"]]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cache_ram_mib = 256
    params.endpoint_slots = False
    params.ui = False
    # Threads that spin while they wait stall for minutes when other work holds the cores.
    params.cpuparams.poll = 0
    params.cpuparams_batch.poll = 0
    params.verbosity = 1
    server = xllamacpp.Server(params)
    sys.stdout.write(orjson.dumps({"url": server.listening_address}).decode() + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # the server's own threads would hold a normal exit back


if __name__ == "__main__":
    main()
