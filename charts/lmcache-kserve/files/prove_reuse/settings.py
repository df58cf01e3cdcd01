"""The arguments of the script: what the chart says about the release."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Settings(NamedTuple):
    """What the chart says about the release.

    Attributes:
        host: the headless Service of the replicas.
        port: the servers' port.
        replicas: how many replicas have to be ready.
        or_more: whether more replicas are as good, because an autoscaler adds them.
        model: the served model name.
        model_path: route that answers once the model is loaded.
        openai_path: first part of the OpenAI routes.
        reuse: what a replica has to find: `shared` (what any replica computed), `own` (what it computed) or `none`.
        backend: the remote backend's type.
        endpoint: the backend's host and port, for messages.
        lossy: whether compression changes the chunks, so that answers may differ.
        chunk_size: tokens in a chunk.
        chunks: length of the prompts, in chunks.
        context: the longest sequence in tokens, or None where the values do not say.
        kv_bytes: size of a token in the KV cache, or None where the values do not say.
        pairs: how many prompts to measure.
        timeout: seconds for the whole test.
        service: namespace and name of the InferenceService, for messages.
        api_key: the server's key; empty where the server has none.
    """

    host: str
    port: int
    replicas: int
    or_more: bool
    model: str
    model_path: str
    openai_path: str
    reuse: str
    backend: str
    endpoint: str
    lossy: bool
    chunk_size: int
    chunks: int
    context: int | None
    kv_bytes: int | None
    pairs: int
    timeout: float
    service: str
    api_key: str


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read the command line; the environment holds the API key."""
    parser = argparse.ArgumentParser(description="Prove that replicas reuse what another replica computed.")
    parser.add_argument("--pods", required=True, metavar="HOST:PORT", help="headless Service of the replicas")
    parser.add_argument("--replicas", required=True, type=int)
    parser.add_argument("--or-more", action="store_true")
    parser.add_argument("--model", required=True)
    parser.add_argument("--model-path", required=True)
    parser.add_argument("--openai-path", required=True)
    parser.add_argument("--reuse", required=True, choices=("shared", "own", "none"))
    parser.add_argument("--backend", default="none")
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--lossy", action="store_true")
    parser.add_argument("--chunk-size", required=True, type=int)
    parser.add_argument("--chunks", required=True, type=int)
    parser.add_argument("--context", type=int)
    parser.add_argument("--kv-bytes", type=int)
    parser.add_argument("--pairs", required=True, type=int)
    parser.add_argument("--timeout", required=True, type=float, metavar="SECONDS")
    parser.add_argument("--service", required=True, metavar="NAMESPACE/NAME")
    options = vars(parser.parse_args(arguments))
    host, _, port = options.pop("pods").rpartition(":")
    return Settings(host=host, port=int(port), api_key=environment.get("VLLM_API_KEY", ""), **options)
