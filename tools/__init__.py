"""Takes labelled text to a served, scored model: raw annotation → Alpaca files → LoRA SFT → merged weights → vLLM → predictions → per-label F1."""
