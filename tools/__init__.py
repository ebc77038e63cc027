"""NER Factory: raw annotation → Alpaca files → LoRA SFT → merged weights → vLLM → predictions → per-label F1."""
