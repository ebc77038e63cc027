"""Converts raw annotation to canonical examples, and these to the Alpaca files that LLaMA-Factory reads. This room knows no model."""
