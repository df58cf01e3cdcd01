"""A CPU connector for LMCache's in-process mode, as a vLLM plugin.

`hook` installs it without importing LMCache early, `connector` speaks LMCache's connector interface, `pages` knows how
vLLM lays a KV cache out in memory on a CPU.
"""
