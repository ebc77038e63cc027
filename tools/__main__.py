"""Runs one verb. `./ner <verb>` calls `python -m tools <verb>`.

.venv/train/bin/python -m tools eval conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from tools.cli import main
from tools.errors import run

if __name__ == "__main__":
    run(main)
