"""The parsers of each engine's own releases know what the chart renders for them; the chart refuses the rest.

`ask` runs LMCache's configuration loader, the parser of `lmcache server` with its adapters, vLLM's KVTransferConfig and
connector factory, and the argument parser of vLLM's and of KServe's server, each in the engine's release.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from parsers.environment import ask
from parsers.rendered import release
from parsers.subjects import CASES, CUSTOM, DATA, SUBJECTS, Case, Subject
from rendering import CHART, merged

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.helm import ChartRefusalError, Helm
from lmcache_kserve.chart.manifests import Violation

pytestmark = pytest.mark.engines

Outcome = Sequence[Violation] | Sequence[str]
"""Why the chart refuses a case, or what the engine's parsers do not know of what was rendered."""

NEEDED = re.compile(r"needs (LMCache|vLLM) \d+\.\d+\.\d+ or newer|use v\d+\.\d+\.\d+-gpu")
every_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


ADMITTED = [one for one in SUBJECTS if numbers(one.pair.lmcache) >= numbers(DATA["lmcache"]["features"]["chart"])]


@pytest.fixture(scope="module")
def render() -> Callable[[Subject, Case], dict[str, Any] | Sequence[Violation]]:
    """What the chart renders of a case for an engine, or why it refuses to."""
    helm = Helm(helm_binary.pinned_helm(max(helm_binary.PINNED_HELM)))

    def render(subject: Subject, case: Case) -> dict[str, Any] | Sequence[Violation]:
        values = merged(case.choice, subject.values(case))
        try:
            manifests = helm.template(CHART, release="llm", namespace="models", values_files=case.files, values=values)
        except ChartRefusalError as error:
            return error.violations
        return release(manifests)

    return render


@pytest.fixture(scope="module")
def outcomes(render: Callable[[Subject, Case], Any]) -> Callable[[Subject], Mapping[str, Outcome]]:
    """The outcomes of all cases for an engine, by the case; the parsers are asked once for each engine."""
    known: dict[str, Mapping[str, Outcome]] = {}

    def outcomes(subject: Subject) -> Mapping[str, Outcome]:
        if str(subject) not in known:
            with ThreadPoolExecutor(max_workers=2) as pool:
                rendered = dict(zip(map(str, CASES), pool.map(lambda case: render(subject, case), CASES), strict=True))
            releases = {name: one for name, one in rendered.items() if isinstance(one, dict)}
            answers = ask(subject.pair, subject.pair.server, releases) if releases else {}
            known[str(subject)] = rendered | answers
        return known[str(subject)]

    return outcomes


@every_subject
@every_case
def test_an_engine_knows_what_is_rendered_for_it_or_the_chart_names_the_release(
    outcomes: Callable[[Subject], Mapping[str, Outcome]], subject: Subject, case: Case
) -> None:
    outcome = outcomes(subject)[str(case)]
    expected = subject.pair.modes[case.mode].expect
    refused = [one for one in outcome if isinstance(one, Violation)]
    if refused:
        assert [str(one) for one in refused if not NEEDED.search(one.message)] == []
        of_backend = all(one.path.startswith("remoteBackend.") for one in refused)
        assert expected != "runs" or case.choice or of_backend, "the engine is expected to run this"
    elif numbers(subject.pair.lmcache) < numbers(CUSTOM.get(case.name, "0.0.0")):
        assert outcome
        assert all(str(one).startswith("setting ") for one in outcome)
    else:
        assert list(outcome) == []
        assert expected != "impossible" or "no-lmcache" in case.name


@pytest.mark.parametrize("subject", ADMITTED, ids=str)
def test_the_parsers_of_an_engine_find_what_they_do_not_know(
    render: Callable[[Subject, Case], Any], subject: Subject
) -> None:
    stated = Subject(subject.pair, stated=True)
    rendered = render(stated, Case("defaults", "in-process"))
    with_option = {**rendered, "arguments": [*rendered["arguments"], "--no-such-option=1"]}
    spoiled = copy.deepcopy(rendered)
    position = spoiled["arguments"].index("--kv-transfer-config") + 1
    transfer = json.loads(spoiled["arguments"][position]) | {"no_such_key": 1}
    transfer["kv_connector_extra_config"] = {"lmcache.mp.no_such_setting": 1}
    spoiled["arguments"][position] = json.dumps(transfer)
    spoiled["environment"] |= {"LMCACHE_NO_SUCH_VARIABLE": "1", "VLLM_NO_SUCH_VARIABLE": "1"}
    spoiled["config"] |= {"no_such_key": 1, "chunk_size": "many", "extra_config": {"no_such_setting": 1}}
    spoiled["commands"].append(["lmcache_no_such_program"])
    # vLLM's parser refuses the connector's unknown key before it looks at further options.
    answers = ask(subject.pair, subject.pair.server, {"option": with_option, "spoiled": spoiled})
    found = [*answers["option"], *answers["spoiled"]]
    assert [text for text in SPOILED if not any(text in line for line in found)] == []


SPOILED = (
    "--no-such-option",
    "variable VLLM_NO_SUCH_VARIABLE",
    "--kv-transfer-config: no_such_key",
    "kv_connector_extra_config has lmcache.mp.no_such_setting",
    "variable LMCACHE_NO_SUCH_VARIABLE",
    "key no_such_key",
    "key chunk_size: 'many' is not a value",
    "setting no_such_setting",
    "program lmcache_no_such_program",
)
WITH_SERVER = [one for one in ADMITTED if one.pair.modes["multiprocess"].expect == "runs"]


@pytest.mark.parametrize("subject", WITH_SERVER, ids=str)
def test_the_parser_of_a_server_finds_what_it_does_not_know(
    render: Callable[[Subject, Case], Any], subject: Subject
) -> None:
    rendered: dict[str, Any] = render(Subject(subject.pair, stated=True), Case("defaults", "multiprocess"))
    position = rendered["server"]["arguments"].index("--l2-adapter") + 1
    adapter = json.loads(rendered["server"]["arguments"][position])

    def with_server(*more: str, **settings: Any) -> dict[str, Any]:
        changed = copy.deepcopy(rendered)
        changed["server"]["arguments"][position] = json.dumps(adapter | settings)
        changed["server"]["arguments"] += more
        changed["server"]["environment"]["LMCACHE_NO_SUCH_VARIABLE"] = "1"
        return changed

    cases = {
        "argument --no-such-option=1": with_server("--no-such-option=1"),
        "invalid choice: 'NONE'": with_server("--eviction-policy=NONE"),
        "setting no_such_setting": with_server(no_such_setting=1),
        "type no_such_type": with_server(type="no_such_type"),
        "port": with_server(port="many"),
        "lmcache server: variable LMCACHE_NO_SUCH_VARIABLE": with_server(),
    }
    found = ask(subject.pair, subject.pair.server, cases)
    assert {text: lines for text, lines in found.items() if not any(text in line for line in lines)} == {}


def test_every_values_file_is_asked_about_in_its_own_mode_and_most_in_both() -> None:
    names = [case.name for case in CASES]
    assert len([name for name in set(names) if names.count(name) == 2]) > 15
    assert {one.pair.name for one in SUBJECTS} >= {"kserve-0.18", "kserve-0.20", "lmcache-0.4.7", "cpu-image"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_newest_engine_runs_every_case(outcomes: Callable[[Subject], Mapping[str, Outcome]], case: Case) -> None:
    (newest,) = [one for one in SUBJECTS if one.pair.name == "cpu-image"]
    assert list(outcomes(newest)[str(case)]) == []
