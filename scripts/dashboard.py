#!/usr/bin/env python3
"""Write the Grafana dashboards of monitoring.dashboard.

    uv run scripts/dashboard.py            write charts/lmcache-kserve/files/dashboards/*.json
    uv run scripts/dashboard.py --check    fail when a file is not what this script writes

There is one for each set of metrics that a release may serve. Queries hold the words of files/rules.yaml in place of a
release's selectors; the chart's template puts them in.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).parent.parent / "charts" / "lmcache-kserve" / "files" / "dashboards"
SERVED = ("lmcache", "server", "vllm")
"""A dashboard's name: LMCache's own metrics of mode in-process, those of its server, or vLLM's alone."""
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Graph:
    """A panel.

    Attributes:
        title: what it shows.
        text: what the reader learns from it.
        queries: PromQL by legend.
        unit: Grafana's name of the unit.
        needs: whose metrics it reads besides vLLM's; a name of SERVED.
        last: show the last value only.
    """

    title: str
    text: str
    queries: dict[str, str]
    unit: str = "short"
    needs: str = "vllm"
    last: bool = False


def quantiles(metric: str) -> dict[str, str]:
    """Queries for the median and the slow tail of a histogram of vLLM."""
    rates = f"sum by (le) (rate({metric}_bucket{{@predictor@}}[@window@]))"
    return {f"p{share}": f"histogram_quantile(0.{share}, {rates})" for share in (50, 90, 99)}


ROWS: dict[str, tuple[Graph, ...]] = {
    "Does it pay?": (
        Graph(
            "Seconds saved in a second",
            "Computing that hits save, after what their loads cost. Below 0, LMCache costs time.",
            {"saved": "lmcache_kserve:saved_seconds:rate{@release@}"},
            needs="lmcache",
            last=True,
        ),
        Graph(
            "Tokens that LMCache found",
            "The share of all tokens of prompts.",
            {"found": "lmcache_kserve:hit_share:ratio{@release@}"},
            unit="percentunit",
            last=True,
        ),
        Graph(
            "What a token takes",
            "To load a token, and to compute one.",
            {
                "loaded": "lmcache_kserve:load_seconds_per_token:ratio{@release@}",
                "computed": "lmcache_kserve:compute_seconds_per_token:ratio{@release@}",
            },
            unit="s",
            needs="lmcache",
            last=True,
        ),
        Graph(
            "Tokens of prompts, by source",
            "LMCache, vLLM's own prefix cache, or computed.",
            {"{{source}}": "lmcache_kserve:prompt_tokens:rate{@release@}"},
        ),
        Graph("Time to first token", "Of all replicas.", quantiles("vllm:time_to_first_token_seconds"), unit="s"),
    ),
    "Tiers": (
        Graph(
            "LMCache's memory in use",
            "Bytes of chunks in each worker's own memory.",
            {"{{pod}} {{worker_id}}": "lmcache:local_cache_usage{@predictor@}"},
            unit="bytes",
            needs="lmcache",
        ),
        Graph(
            "Chunks evicted from LMCache's memory",
            "In a second. They may still be in the remote backend.",
            {"{{pod}}": "sum by (pod) (rate(lmcache:local_cpu_evict_keys_count_total{@predictor@}[@window@]))"},
            needs="lmcache",
        ),
        Graph(
            "The server's memory in use",
            "The share that holds chunks.",
            {"{{pod}}": "lmcache_mp_l1_usage_ratio{@server@}"},
            unit="percentunit",
            needs="server",
        ),
        Graph(
            "Found tokens, by tier",
            "In the server's memory, or in the remote backend.",
            {
                "memory": "sum(rate(lmcache_mp_lookup_hit_l1_tokens_total{@server@}[@window@]))",
                "remote backend": "sum(rate(lmcache_mp_lookup_hit_l2_tokens_total{@server@}[@window@]))",
            },
            needs="server",
        ),
    ),
    "Backend": (
        Graph(
            "Bytes from and to the backend",
            "In a second.",
            {"{{direction}}": "lmcache_kserve:remote_bytes:rate{@release@}"},
            unit="Bps",
            needs="lmcache",
        ),
        Graph(
            "Chunks handed to the backend",
            "What is submitted and not stored is lost.",
            {
                "submitted": "sum(rate(lmcache_mp_l2_store_submitted_objects_chunks_total{@server@}[@window@]))",
                "stored": "sum(rate(lmcache_mp_l2_store_completed_objects_chunks_total{@server@}[@window@]))",
            },
            needs="server",
        ),
    ),
    "Engines": (
        Graph(
            "Requests",
            "That run, and that wait for a place.",
            {
                "{{pod}} runs": "sum by (pod) (vllm:num_requests_running{@predictor@})",
                "{{pod}} waits": "sum by (pod) (vllm:num_requests_waiting{@predictor@})",
            },
        ),
        Graph(
            "vLLM's own KV cache in use",
            "Above 90 %, vLLM evicts prefixes, which LMCache may still have.",
            {"{{pod}}": "vllm:kv_cache_usage_perc{@predictor@}"},
            unit="percentunit",
        ),
    ),
    "Faults": (
        Graph("Replicas that are scraped", "", {"scraped": 'count(up{@predictor@,endpoint="http1"} == 1)'}, last=True),
        Graph(
            "Servers attached to the backend",
            "0 while the backend does not answer.",
            {"{{pod}}": 'sum by (pod) (lmcache_mp_l2_store_adapters{@server@,state="active"})'},
            needs="server",
        ),
        Graph(
            "Requests that ended",
            "By their reason.",
            {
                "{{finished_reason}}": (
                    "sum by (finished_reason) (rate(vllm:request_success_total{@predictor@}[@window@]))"
                )
            },
        ),
    ),
}


def panel(graph: Graph, width: int) -> stat.Panel | timeseries.Panel:
    """A panel with its queries."""
    built: stat.Panel | timeseries.Panel = stat.Panel() if graph.last else timeseries.Panel()
    built = built.title(graph.title).description(graph.text).datasource(SOURCE).unit(graph.unit)
    built = built.span(width).height(5 if graph.last else 8)
    for number, (legend, query) in enumerate(graph.queries.items()):
        target = prometheus.Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number))
        built = built.with_target(target)
    return built


def written(served: str) -> str:
    """A dashboard as JSON."""
    built = (
        dashboard.Dashboard("LMCache: @namespace@/@name@")
        .uid("@uid@")
        .description("Whether the KV cache of a release of lmcache-kserve pays. Written by scripts/dashboard.py.")
        .tags(["lmcache", "vllm", "kserve"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for title, graphs in ROWS.items():
        shown = [graph for graph in graphs if graph.needs in {served, "vllm"}]
        if shown:
            built = built.with_row(dashboard.Row(title))
        for last in (True, False):
            line = [graph for graph in shown if graph.last is last]
            for graph in line:
                built = built.with_panel(panel(graph, WIDTH // len(line)))
    content = json.loads(JSONEncoder().encode(built.build()))
    return json.dumps(without_nulls(content), sort_keys=True, indent=1) + "\n"


def without_nulls(content: Any) -> Any:  # noqa: ANN401 - any JSON
    """JSON without members that say nothing: Grafana takes null for a panel's options."""
    if isinstance(content, dict):
        return {key: without_nulls(value) for key, value in content.items() if value is not None}
    return [without_nulls(value) for value in content] if isinstance(content, list) else content


def main() -> int:
    """Write the files, or with `--check` compare them."""
    stale = False
    for served in SERVED:
        file, text = FOLDER / f"{served}.json", written(served)
        if "--check" in sys.argv[1:]:
            stale |= not file.exists() or file.read_text(encoding="utf-8") != text
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
