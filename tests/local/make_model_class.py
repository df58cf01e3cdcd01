"""Make a small model of any architecture, with random weights and the test model's tokenizer.

Runs with the engine's Python.

Usage: make_model_class.py FOLDER MAKE_MODEL CONFIG

MAKE_MODEL is images/vllm-cpu/make_model.py, CONFIG the fields of the model's config.json, as JSON.
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def main(folder: Path, make_model: Path, fields: dict[str, object]) -> None:
    """Write the model."""
    spec = importlib.util.spec_from_file_location("make_model", make_model)
    test_model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(test_model)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        vocab_size=test_model.VOCABULARY, max_position_embeddings=test_model.CONTEXT, **fields
    )
    model = AutoModelForCausalLM.from_config(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    test_model.tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(test_model.tokenizer_config()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
