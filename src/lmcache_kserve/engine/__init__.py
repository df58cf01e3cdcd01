"""The engine of a local run: where vLLM and LMCache are on this machine, or how they get there."""
