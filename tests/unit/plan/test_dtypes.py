from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import dtypes

FP8 = {"dtype": "bfloat16", "quantization_config": {"quant_method": "fp8"}}


@pytest.mark.parametrize(
    ("fields", "dtype", "expected"),
    [
        ({"torch_dtype": "float16"}, "auto", "float16"),
        ({"dtype": "torch.bfloat16"}, "auto", "bfloat16"),
        ({"torch_dtype": "float32"}, "auto", "bfloat16"),
        ({}, "auto", "bfloat16"),
        ({}, "half", "float16"),
        (FP8, "auto", "fp8"),
        (FP8, "bfloat16", "bfloat16"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "auto", "int4"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "auto", "fp4"),
    ],
)
def test_weights_have_the_type_that_is_asked_for_or_the_files_have(
    fields: dict[str, Any], dtype: str, expected: str
) -> None:
    assert dtypes.weights(fields, dtype) == expected


@pytest.mark.parametrize(
    ("fields", "dtype", "kv_dtype", "expected"),
    [
        (FP8, "auto", "auto", "bfloat16"),
        ({}, "fp8", "auto", "bfloat16"),
        ({}, "float32", "auto", "float32"),
        ({}, "auto", "fp8", "fp8"),
        ({}, "auto", "fp8_e4m3", "fp8"),
    ],
)
def test_the_cache_has_the_type_of_the_activations_unless_asked(
    fields: dict[str, Any], dtype: str, kv_dtype: str, expected: str
) -> None:
    assert dtypes.cache(fields, dtype, kv_dtype) == expected


def test_an_unknown_type_is_refused_by_its_option() -> None:
    with pytest.raises(HarnessError, match="--dtype=int7: choose among auto, "):
        dtypes.weights({}, "int7")
    with pytest.raises(HarnessError, match="--kv-dtype=int7: choose among auto, "):
        dtypes.cache({}, "auto", "int7")
