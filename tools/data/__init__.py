"""Raw annotation → canonical examples → the Alpaca files that LLaMA-Factory reads. This room knows no model."""
