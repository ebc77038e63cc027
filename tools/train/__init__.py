"""Run files → LLaMA-Factory → adapter → merged weights. Knows no score."""
