"""Serves merged weights, or base + adapter, by an OpenAI-compatible vLLM server."""
