"""How many bytes the elements of weights and of the KV cache take."""

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import reading
from lmcache_kserve.plan.fields import Fields, section, where

AUTO = "auto"
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "fp8": 1.0, "int4": 0.5, "fp4": 0.5}
"""Bytes of an element. Scales of quantized weights are left out: they add 1 to 6 %."""
KV_DTYPES = ("auto", "bfloat16", "float16", "float32", "fp8", "fp8_e4m3", "fp8_e5m2")
"""What vLLM's `--kv-cache-dtype` knows, and float32, which it takes from `--dtype`."""
_SPELLINGS = {"half": "float16", "float": "float32", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_QUANTIZED = {"fp8": "fp8", "fbgemm_fp8": "fp8", "awq": "int4", "gptq": "int4", "mxfp4": "fp4", "nvfp4": "fp4"}
_BITS = {4: "int4", 8: "fp8", 16: "bfloat16"}


def weights(fields: Fields, dtype: str) -> str:
    """The data type of the weights: that of `--dtype`, or what the configuration says.

    Raises:
        HarnessError: no such type is known.
    """
    if dtype != AUTO:
        return _known("--dtype", dtype)
    if quantization := section(fields, "quantization_config"):
        bits = next((quantization[name] for name in ("bits", "weight_bits") if quantization.get(name)), None)
        if bits is not None:
            return _BITS.get(reading.whole(bits, where("quantization_config.bits")), "fp8")
        return _QUANTIZED.get(str(quantization.get("quant_method", "")).lower(), "fp8")
    return _of(fields)


def cache(fields: Fields, dtype: str, kv_dtype: str) -> str:
    """The data type of the KV cache: that of `--kv-dtype`, or as vLLM does, that of the activations.

    Raises:
        HarnessError: no such type is known.
    """
    if kv_dtype not in KV_DTYPES:
        raise HarnessError(f"--kv-dtype={kv_dtype}: choose among {', '.join(KV_DTYPES)}")
    if kv_dtype != AUTO:
        return kv_dtype.partition("_")[0]
    stated = _of(fields) if dtype == AUTO else _known("--dtype", dtype)
    return stated if BYTES[stated] >= BYTES["bfloat16"] else "bfloat16"


def _of(fields: Fields) -> str:
    stated = str(fields.get("dtype") or fields.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    known = _SPELLINGS.get(stated, stated)
    # vLLM's --dtype auto serves models in float32 with 16 bits.
    return known if known in BYTES and known != "float32" else "bfloat16"


def _known(option: str, dtype: str) -> str:
    known = _SPELLINGS.get(dtype, dtype)
    if known not in BYTES:
        raise HarnessError(f"{option}={dtype}: choose among auto, {', '.join(BYTES)}")
    return known
