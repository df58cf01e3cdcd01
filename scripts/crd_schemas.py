#!/usr/bin/env python3
"""Writes the schemas of lmcache_kserve.chart.schemas from the CRDs of their projects, or checks them.

    uv run scripts/crd_schemas.py KSERVE OPERATOR KEDA [--check]

KSERVE, OPERATOR and KEDA are clones of https://github.com/kserve/kserve,
https://github.com/prometheus-operator/prometheus-operator and https://github.com/kedacore/keda with their tags, bare or
not.
"""

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from lmcache_kserve.chart import schemas
from lmcache_kserve.chart.schemas.crd import convert

RELEASES = ("0.15.2", "0.16.0", "0.17.1", "0.18.1", "0.19.0", "0.20.0")
RESOURCES = {"inferenceservices": "v1beta1", "servingruntimes": "v1alpha1"}
OPERATOR_RELEASE = "0.85.0"
OPERATOR_RESOURCES = {"podmonitors": "v1", "prometheusrules": "v1"}
(KEDA_RELEASE,) = re.findall(r"(?m)^KEDA_VERSION=(.+)$", (Path(__file__).parent / "cluster-versions.env").read_text())
KEDA_RESOURCES = {"scaledobjects": "v1alpha1"}
FOLDER = Path(schemas.__file__).parent
CHECKSUMS = FOLDER / "checksums.json"


def generate(kserve: Path, operator: Path, keda: Path) -> dict[str, bytes]:
    """Every schema as compact JSON, by the path of its file below the package's folder."""
    generated = {}
    for release in RELEASES:
        for plural, version in RESOURCES.items():
            # The folder is the same in every release.
            text = _show(kserve, f"v{release}", f"config/crd/full/serving.kserve.io_{plural}.yaml")
            generated |= schema(text, version, folder=f"kserve-{release}")
    for plural, version in OPERATOR_RESOURCES.items():
        file = f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
        text = _show(operator, f"v{OPERATOR_RELEASE}", file)
        generated |= schema(text, version, folder=f"prometheus-operator-{OPERATOR_RELEASE}")
    for plural, version in KEDA_RESOURCES.items():
        text = _show(keda, f"v{KEDA_RELEASE}", f"config/crd/bases/keda.sh_{plural}.yaml")
        generated |= schema(text, version, folder=f"keda-{KEDA_RELEASE}")
    return generated


def schema(text: str, version: str, *, folder: str) -> dict[str, bytes]:
    """The schema of one version of a CRD, by the path of its file."""
    crd = yaml.load(text, Loader=yaml.CSafeLoader)
    name = f"{folder}/{crd['spec']['names']['singular']}-{version}.json.gz"
    return {name: json.dumps(convert(crd, version), sort_keys=True, separators=(",", ":")).encode()}


def checksums(generated: dict[str, bytes]) -> str:
    """SHA-256 of each schema's JSON: compressed bytes depend on the zlib that wrote them."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in generated.items()}
    return json.dumps(digests, indent=2, sort_keys=True) + "\n"


def main() -> int:
    """Write the schemas, or with `--check` compare them with what is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kserve", type=Path, help="clone of kserve/kserve with its tags")
    parser.add_argument("operator", type=Path, help="clone of prometheus-operator/prometheus-operator with its tags")
    parser.add_argument("keda", type=Path, help="clone of kedacore/keda with its tags")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a schema differs")
    arguments = parser.parse_args()
    generated = generate(arguments.kserve, arguments.operator, arguments.keda)
    if arguments.check:
        return 0 if checksums(generated) == CHECKSUMS.read_text(encoding="utf-8") else 1
    for name, content in generated.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_bytes(gzip.compress(content, mtime=0))
    CHECKSUMS.write_text(checksums(generated), encoding="utf-8")
    return 0


def _show(clone: Path, tag: str, file: str) -> str:
    argv = ["git", "-C", str(clone), "show", f"{tag}:{file}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
