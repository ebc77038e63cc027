"""Raw annotation → canonical examples → the Alpaca files that LLaMA-Factory reads. Knows no model."""
