import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest
from made_evidence import evidence, facts, pair, without_baseline
from rich.console import Console

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Evidence, Pair
from lmcache_kserve.lmcache.logs import Load, RequestLog
from lmcache_kserve.report import Report, document, dump_json, make, render_html, render_junit, table, write
from lmcache_kserve.report.plot import pairs_chart, save_plot
from lmcache_kserve.verdict import CHECKS, judge

IDS = [check.id for check in CHECKS]
COMMAND = "lmcache-kserve demo --out out"


def report(seen: Evidence | None = None) -> Report:
    seen = seen or evidence()
    return make(seen, judge(seen), command=COMMAND, chart_values_digest="sha256:abc")


def stopped() -> Evidence:
    bare = replace(facts("predictor-1"), environment={})
    return replace(
        evidence(),
        pairs=(),
        stopped="no cross-replica hit",
        replicas=(facts("predictor-0"), bare),
        scale_out=None,
        kill=None,
        server_outage=None,
        outage=None,
    )


def local_only() -> Evidence:
    good = evidence()
    return replace(
        good,
        subject=replace(good.subject, backend_type="none"),
        pairs=tuple(without_baseline(one) for one in good.pairs),
    )


def shown(made: Report, width: int = 200) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(table(made))
    return cast("StringIO", console.file).getvalue()


class Page(HTMLParser):
    """Collects what a page refers to and which elements it leaves open."""

    VOID = ("meta", "br", "img", "link", "hr", "path", "use")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("seen", [evidence(), stopped(), local_only()], ids=["passed", "stopped", "no backend"])
def test_every_report_keeps_its_own_schema(seen: Evidence) -> None:
    content = json.loads(dump_json(report(seen)))

    assert content["schema"] == "lmcache-kserve/report/v1"
    assert content == json.loads(json.dumps(document(report(seen))))


def test_a_document_that_breaks_the_schema_is_never_written() -> None:
    made = report()
    broken = replace(made, evidence=replace(made.evidence, seed=-1))

    with pytest.raises(jsonschema_rs.ValidationError):
        dump_json(broken)


def test_the_json_tells_the_promised_numbers() -> None:
    ttft = document(report())["ttft"]

    assert ttft["pairs"][0] == {
        "prompt_tokens": 3000,
        "hit_tokens": 2816,
        "cold_s": 4.0,
        "warm_s": 0.4,
        "no_cache_cold_s": 3.9,
        "no_cache_again_s": 4.0,
        "limit_s": 0.2,
        "cold_replica": "predictor-0",
        "warm_replica": "predictor-1",
        "order": ["cold", "no_cache", "limit", "no_cache_again", "warm"],
    }
    assert ttft["median_ratio"] == pytest.approx(10.2, abs=0.1)
    assert ttft["lower_bound_5pct"] > 9
    assert ttft["limit_s"] == 0.2
    assert ttft["overhead_ratio"] == pytest.approx(4 / 3.9, abs=1e-3)
    assert ttft["noise_ratio"] == pytest.approx(3.9 / 4, abs=1e-3)
    assert ttft["gain_share"] == pytest.approx(0.95, abs=0.01)
    assert ttft["discarded_pairs"] == 1


def test_every_check_is_in_the_json_with_its_cause() -> None:
    content = document(report(stopped()))

    assert [check["id"] for check in content["checks"]] == IDS
    assert content["passed"] is False
    failed = next(check for check in content["checks"] if check["id"] == "cross-replica-hit")
    assert "PYTHONHASHSEED is not set on predictor-1" in failed["summary"]
    assert failed["causes"]


def test_an_openmp_setting_that_differs_between_engines_is_told() -> None:
    other = facts("baseline-0", "baseline", OMP_NUM_THREADS="2")
    seen = replace(evidence(), replicas=(*evidence().engines, other))

    assert document(report())["omp"] == {
        "setting": "OMP_NUM_THREADS=1, VLLM_CPU_OMP_THREADS_BIND=nobind",
        "same_for_all_engines": True,
    }
    assert document(report(seen))["omp"]["same_for_all_engines"] is False
    assert "engines differ" in render_html(report(seen))


def test_whose_home_folder_it_was_made_in_is_not_told() -> None:
    engine = replace(facts("predictor-0"), arguments=("server", f"--model={Path.home()}/models/tiny"))
    (told,) = document(report(replace(evidence(), replicas=(engine,))))["engines"]
    assert told["arguments"] == ["server", "--model=~/models/tiny"]


def test_the_documentation_describes_every_field_of_the_schema() -> None:
    root = Path(__file__).parents[3]
    schema = json.loads((root / "src/lmcache_kserve/report/report.schema.json").read_text(encoding="utf-8"))
    text = (root / "docs/report.md").read_text(encoding="utf-8")

    def fields(node: object) -> set[str]:
        if isinstance(node, dict):
            return set(node.get("properties", {})).union(*(fields(value) for value in node.values()))
        return set().union(*(fields(value) for value in node)) if isinstance(node, list) else set()

    assert {name for name in fields(schema) if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("seen", [evidence(), stopped(), local_only()], ids=["passed", "stopped", "no backend"])
def test_the_page_needs_nothing_from_elsewhere_and_is_well_formed(seen: Evidence) -> None:
    page = Page(render_html(report(seen)))

    assert page.open == []
    assert [reference for reference in page.references if not reference.startswith("#")] == []


def test_the_page_says_of_each_check_when_it_passes() -> None:
    text = render_html(report())

    assert text.count("<summary>Passes when</summary>") == len(CHECKS)
    assert "<code>vllm:external_prefix_cache_hits_total</code> grows by at least 95 %" in text


def test_the_page_shows_a_plot_that_follows_its_colours() -> None:
    text = render_html(report())

    first, second = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert "every pair" in first
    assert "new replica" in second
    assert all("var(--warm)" in one for one in (first, second))
    assert not re.search(r"#0[1-7]0[1-7]0[1-7]", text)


@pytest.mark.parametrize(
    ("backend", "server", "place"),
    [
        ("redis", None, "redis"),
        ("none", "node/server", "the memory of one LMCache server"),
        ("none", None, "the memory of each replica"),
    ],
)
def test_the_page_names_the_place_that_reuse_goes_through(backend: str, server: str | None, place: str) -> None:
    good = evidence()
    replicas = tuple(replace(one, cache_server=server) for one in good.replicas)
    seen = replace(good, subject=replace(good.subject, backend_type=backend), replicas=replicas)

    assert f"KV-cache reuse of tiny through {place}<" in render_html(report(seen))


def test_the_page_of_a_failed_proof_says_why_first() -> None:
    text = render_html(report(stopped()))

    assert f"7 of {len(CHECKS)} checks failed" in text
    assert text.index("Why it failed") < text.index("<h2>Checks</h2>")
    assert text.count("PYTHONHASHSEED is not set on predictor-1 (") == 1
    assert "<svg" not in text


@pytest.mark.parametrize(
    ("cold", "warm", "shown_as"),
    [
        ("demo-predictor-0", "demo-predictor-1", "0 → 1"),
        ("llm-predictor-6b7d9-x2k9f", "llm-predictor-6b7d9-7hd2p", "x2k9f → 7hd2p"),
        ("a-predictor-0", "b-predictor-0", "a-predictor-0 → b-predictor-0"),
        ("demo-predictor-0", "demo-predictor-0", "0 → 0"),
    ],
)
def test_the_page_names_replicas_by_what_tells_them_apart(cold: str, warm: str, shown_as: str) -> None:
    good = evidence()
    pairs = tuple(
        replace(one, cold=replace(one.cold, replica=cold), warm=replace(one.warm, replica=warm)) for one in good.pairs
    )

    assert f"<td>{shown_as}</td>" in render_html(report(replace(good, pairs=pairs)))


def test_what_a_model_or_a_log_says_cannot_become_markup() -> None:
    good = evidence()
    seen = replace(good, subject=replace(good.subject, model_name="<script>alert(1)</script>"))

    assert "<script>" not in render_html(report(seen))


def test_junit_has_a_case_for_each_check_and_skips_what_does_not_apply() -> None:
    suite = ET.fromstring(render_junit(report(local_only())).encode()).find("testsuite")  # noqa: S314 - our own

    assert suite is not None
    assert [case.get("name") for case in suite] == IDS
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (str(len(CHECKS)), "0", "5")


def test_junit_tells_a_failure_with_its_cause() -> None:
    root = ET.fromstring(render_junit(report(stopped())).encode())  # noqa: S314 - our own
    failures = root.findall(".//failure")

    assert len(failures) == 7
    assert "PYTHONHASHSEED" in (failures[0].text or "")


def test_the_terminal_shows_each_check_and_the_numbers() -> None:
    text = shown(report())

    assert all(name in text for name in IDS)
    assert "cold overhead 1.03 (noise 0.97)" in text
    assert f"All {len(CHECKS)} checks passed." in text


def loaded(seconds_per_token: float) -> Report:
    good = evidence()

    def told(one: Pair) -> Pair:
        log = one.warm.log
        assert isinstance(log, RequestLog)
        load = Load(seconds=seconds_per_token * log.hit_tokens, size_bytes=2_000_000 * log.hit_tokens)
        return replace(one, warm=replace(one.warm, log=replace(log, load=load)))

    return report(replace(good, pairs=tuple(map(told, good.pairs))))


def test_every_form_says_how_fast_hits_were_loaded() -> None:
    made = loaded(0.001)
    line = "1.00 ms a token, computing takes 1.35 ms"
    assert f"hits are loaded at 2.00 GB/s: {line}" in shown(made)
    assert "2.00 GB/s" in render_html(made)
    assert document(made)["load"]["gigabytes_per_s"] == 2.0
    assert document(made)["warnings"] == []
    assert "Warning" not in render_html(made)


def test_every_form_warns_of_hits_that_load_slower_than_they_compute() -> None:
    made = loaded(0.002)
    warning = "A hit loads slower than the same tokens compute: 2.00 ms for a token, computing takes 1.35 ms"
    assert made.passed
    assert warning in shown(made, width=400)
    assert warning in render_html(made)
    assert document(made)["warnings"][0].startswith(warning)
    assert json.loads(dump_json(made))["load"]["slower_than_computing"]


def test_without_a_load_in_the_logs_nothing_is_said_of_it() -> None:
    assert "hits are loaded" not in shown(report())
    assert document(report())["load"] is None


def test_the_terminal_names_a_cause_once_although_it_fails_several_checks() -> None:
    text = shown(report(stopped()))

    assert text.count("PYTHONHASHSEED is not set") == 1
    assert f"7 of {len(CHECKS)} checks failed" in text


def test_the_terminal_ends_with_what_was_seen_of_each_failure() -> None:
    failed = report(stopped())
    end = shown(failed, width=2000).splitlines()[-10:]

    for result in failed.failed:
        assert any(line.startswith(f"✗ {result.id}: {result.seen}") for line in end), result.id


def test_a_report_without_any_check_is_not_a_passed_one() -> None:
    assert not make(evidence(), (), command=COMMAND).passed


def test_all_files_are_written_into_a_folder_that_need_not_exist(tmp_path: Path) -> None:
    written = write(report(), tmp_path / "a" / "b")

    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "report.html",
        "report.json",
        "report.xml",
        "scale-out.svg",
        "ttft.svg",
    ]
    assert json.loads(written.json.read_text(encoding="utf-8"))["command"] == COMMAND


def test_a_report_without_pairs_has_no_picture(tmp_path: Path) -> None:
    assert write(report(stopped()), tmp_path).plot is None
    assert not (tmp_path / "ttft.svg").exists()


@pytest.mark.parametrize(("name", "start"), [("plot.png", b"\x89PNG"), ("plot.svg", b"<?xml")])
def test_the_plot_is_written_as_a_picture(tmp_path: Path, name: str, start: bytes) -> None:
    save_plot(pairs_chart(evidence().pairs), tmp_path / name)

    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_same_pairs_make_the_same_picture(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        save_plot(pairs_chart(evidence().pairs), tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_the_plot_tells_the_median_of_each_series() -> None:
    pairs = tuple(pair(0, cold_s=seconds, warm_s=0.5) for seconds in (1, 2, 3, 9))
    page = render_html(report(replace(evidence(), pairs=pairs)))

    assert "median 2.50 s" in page
    assert "median 0.50 s" in page


def test_a_plot_of_nothing_or_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no measured pairs"):
        save_plot(pairs_chart(()), tmp_path / "plot.png")
    with pytest.raises(HarnessError, match=r"as \.png or \.svg"):
        save_plot(pairs_chart(evidence().pairs), tmp_path / "plot.gif")
