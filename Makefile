# NER Factory. Every target is one line that you can copy; `make` alone prints this help.
# CONF names a run; TASK a task; ARGS adds overlays and key=value words, e.g. ARGS="conf/overlay/smoke.yaml lora_rank=16".

CONF :=
TASK :=
ARGS :=
MODEL :=
SPLIT := dev
PORT := 8000
# MERGED=1 serves and scores the merged model, BASE=1 scores the base model.
MERGED :=
BASE :=
# FIX=1 writes a mended copy of the raw files, PLOTS=1 draws labels and lengths.
FIX :=
PLOTS :=
# Several processes: NPROC on this machine; NNODES machines, of which this is NODE_RANK (docs/cluster.md). RAY=1 lets Ray place them.
NPROC :=
NNODES :=
NODE_RANK :=
MASTER_ADDR :=
MASTER_PORT :=
RAY :=
# The Python that makes the environments, 3.11 or 3.12.
PYTHON := python3
# vLLM's build: auto, cpu or gpu.
SERVE := auto
# torch's build for an older NVIDIA driver, e.g. cu126.
TORCH_BACKEND :=

RUN := .venv/train/bin/python -m
SETUP := @$(PYTHON) -m tools.setup --serve $(SERVE) $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))
TASKS = $(if $(TASK),conf/task/$(TASK).yaml,$(wildcard conf/task/*.yaml))
# With CONF alone, the doctor takes the run's own task.
CHECKED = $(if $(CONF),$(if $(TASK),conf/task/$(TASK).yaml),$(TASKS)) $(ARGS) $(if $(CONF),--conf $(CONF))
WHICH = $(if $(MERGED),--model merged,$(if $(BASE),--model base))
SEVERAL = $(if $(NPROC),--nproc $(NPROC)) $(if $(NNODES),--nnodes $(NNODES)) $(if $(NODE_RANK),--node-rank $(NODE_RANK)) \
	$(if $(MASTER_ADDR),--master-addr $(MASTER_ADDR)) $(if $(MASTER_PORT),--master-port $(MASTER_PORT)) $(if $(RAY),--ray)

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^[a-zA-Z0-9_-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## make both environments (SERVE=cpu|gpu, TORCH_BACKEND=cu126)
	$(SETUP)

.PHONY: setup-train
setup-train:
	$(SETUP) train

.PHONY: demo
demo: setup ## the whole chain on the embedded model and the sample data: F1 before, after, merged
	$(RUN) tools.demo

.PHONY: test
test: setup ## lint, format, types, unit tests, and the whole chain on a small setting
	.venv/train/bin/ruff check .
	.venv/train/bin/ruff format --check .
	.venv/train/bin/mypy
	$(RUN) pytest

.PHONY: download
download: setup-train ## a base model from ModelScope into models/ (MODEL=Qwen/Qwen2.5-7B-Instruct)
	$(RUN) tools.train.download $(MODEL) --out models

.PHONY: data
data: setup-train ## raw annotation → examples, Alpaca files, dataset_info.json (TASK=clue; default: every task whose raw files are here)
	$(RUN) tools.data.convert $(TASKS) $(ARGS) --out data/dataset

.PHONY: check
check: setup-train ## what is wrong with the raw files, and their tokens against a run's cutoff_len (TASK=clue CONF=… FIX=1 PLOTS=1)
	$(RUN) tools.data.check $(CHECKED) $(if $(FIX),--fix) $(if $(PLOTS),--plots) --out data/dataset/check

.PHONY: train
train: setup-train ## LoRA SFT with LLaMA-Factory (CONF=conf/<run>.yaml; NPROC= NNODES= NODE_RANK= MASTER_ADDR= MASTER_PORT= RAY=1)
	$(RUN) tools.train.launch $(CONF) $(ARGS) $(SEVERAL)

.PHONY: export
export: setup-train ## merge the adapter into the base model (CONF=…)
	$(RUN) tools.train.export $(CONF) $(ARGS)

.PHONY: serve
serve: setup ## base + adapter, or the merged model, over vLLM's OpenAI API on 127.0.0.1 (CONF=… MERGED=1 PORT=8000)
	$(RUN) tools.serve.vllm $(CONF) $(ARGS) $(if $(MERGED),--merged) --port $(PORT)

.PHONY: eval
eval: setup ## predict and score the dev split; starts a server if none answers (CONF=… MERGED=1 BASE=1 SPLIT=dev)
	$(RUN) tools.eval.run $(CONF) $(ARGS) $(WHICH) --split $(SPLIT) --port $(PORT)
