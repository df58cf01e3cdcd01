"""What LMCache is told, what it logs, and what it stores: formats of LMCache, vLLM and their backends."""
