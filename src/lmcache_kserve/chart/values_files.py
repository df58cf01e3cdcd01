"""Values files as a user gives them: read before Helm is, so that a wrong file is one clear sentence."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from lmcache_kserve.chart.manifests import VALUES, ManifestError, Violation, load_strict
from lmcache_kserve.errors import HarnessError


def require_values_files(paths: Sequence[Path]) -> None:
    """See that every file holds values.

    Raises:
        HarnessError: a file does not exist, is not YAML, or holds something else than values.
    """
    for path in paths:
        _documents(path)


def ignored_by_helm(paths: Sequence[Path]) -> list[Violation]:
    """What Helm drops from values files without a word: all but the last of equal keys, and all but the first document.

    Raises:
        HarnessError: as for `require_values_files`.
    """
    found = []
    for path in paths:
        if len(_documents(path)) > 1:
            found.append(Violation(VALUES, str(path), "has several YAML documents; Helm reads only the first"))
        try:
            load_strict(path.read_text(encoding="utf-8"))
        except ManifestError as error:
            where, problem = _marked(error.__cause__)
            found.append(Violation(VALUES, f"{path}, {where}", f"{problem}; Helm takes the last"))
    return found


def _documents(path: Path) -> list[object]:
    """The documents of a values file.

    Raises:
        HarnessError: as for `require_values_files`.
    """
    if not path.is_file():
        raise HarnessError(f"there is no values file {path}; -f takes the path of a YAML file")
    try:
        documents: list[object] = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where, problem = _marked(error)
        raise HarnessError(f"the values file {path} is not YAML: {where}: {problem}") from error
    first = documents[0] if documents else None
    if first is not None and not isinstance(first, dict):
        raise HarnessError(f"{path} is not a values file: it holds a {type(first).__name__}, not keys with values")
    if isinstance(first, dict) and {"apiVersion", "kind"} <= first.keys():
        raise HarnessError(
            f"{path} is not a values file: it holds a Kubernetes object of kind {first['kind']}; "
            "give -f a file with the chart's values"
        )
    return documents


def _marked(error: BaseException | None) -> tuple[str, str]:
    """Where YAML is wrong, and how."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}", str(error.problem)
    return "as a whole", " ".join(str(error).split())
