"""Makes the embedded base model and the two sample datasets. Nothing else in the project imports it.

PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.sample --out data/dataset
"""
