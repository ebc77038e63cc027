"""Measures what the pages state: one module a subject, one page of results each in bench/results/.

.venv/train/bin/python -m bench.score
"""

import sys

from tools.files import ROOT

sys.path.append(str(ROOT / "models/tiny-qwen2"))  # make, which made the embedded model and the sample, is a package there
