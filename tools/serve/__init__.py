"""Merged weights or base + adapter → an OpenAI-compatible vLLM server."""
