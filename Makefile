# NER Factory. Every target is one line that you can copy; `make` alone prints this help.
# CONF names a run; TASK a task; ARGS adds overlays and key=value words, e.g. ARGS="conf/overlay/smoke.yaml lora_rank=16".

CONF :=
TASK :=
ARGS :=
MODEL :=
# `make new` makes TASK from the annotated data in FROM (and DEV, where there is a second file); READER says what it is, where that can't be told.
FROM :=
DEV :=
READER :=
# The runs that `make compare` compares: "a b", "a:base a:merged".
RUNS :=
SPLIT := dev
PORT := 8000
# The port of `make web`'s page; PORT is the server's behind it.
WEB_PORT := 7860
# HOST=0.0.0.0 opens `make serve` to other machines and demands VLLM_API_KEY in the environment; `make web`, and WEB_PASSWORD.
HOST :=
# WITH=conf/<other run>.yaml serves that run's adapter too, beside the same base model.
WITH :=
# MERGED=1 serves and scores the merged model, QUANTIZED=awq what `make quantize` made of it, BASE=1 scores the base model, BEST=1 takes the checkpoint
# that `make best` found.
MERGED :=
QUANTIZED :=
BEST :=
BASE :=
# How `make quantize` quantises: awq, gptq or fp8.
METHOD := awq
# ENGINE=offline evaluates with vLLM in one process, ENGINE=ray over a Ray cluster, ENGINE=hf with transformers + PEFT; DEBUG=1 then shows one row's way from
# prompt to answer.
ENGINE := vllm
DEBUG :=
# DECODING=schema lets the model answer in the task's own format only (vLLM's structured outputs).
DECODING := free
# How far the merged or quantised model's micro F1 may be from the adapter's in `make parity`.
BOUND := 0.02
# FIX=1 writes a mended copy of the raw files, PLOTS=1 draws labels and lengths.
FIX :=
PLOTS :=
# ALL=1 lists every value of a run in `check`, takes the environments away in `clean`; FRESH=1 starts over: `train` moves the
# run's folder aside, `eval` asks every row anew.
ALL :=
FRESH :=
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
# For what also works before anything is installed.
ANY = $(or $(wildcard .venv/train/bin/python),$(PYTHON)) -m
SETUP := @$(PYTHON) -m tools.setup --serve $(SERVE) $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))
TASKS = $(if $(TASK),conf/task/$(TASK).yaml,$(wildcard conf/task/*.yaml))
# CONF alone examines the run, its Alpaca rows and then its raw files; TASK the raw files, with CONF against that run's cutoff_len.
CHECK_DATA = tools.data.check $(TASKS) $(ARGS) $(if $(CONF),--conf $(CONF)) $(if $(FIX),--fix) $(if $(PLOTS),--plots) --out data/dataset/check
CHECK_RUN = tools.train.check $(CONF) $(ARGS) $(if $(ALL),--all) $(SEVERAL)
WHICH = $(if $(BEST),--model best,$(if $(QUANTIZED),--model merged-$(QUANTIZED),$(if $(MERGED),--model merged,$(if $(BASE),--model base))))
SEVERAL = $(if $(NPROC),--nproc $(NPROC)) $(if $(NNODES),--nnodes $(NNODES)) $(if $(NODE_RANK),--node-rank $(NODE_RANK)) \
	$(if $(MASTER_ADDR),--master-addr $(MASTER_ADDR)) $(if $(MASTER_PORT),--master-port $(MASTER_PORT)) $(if $(RAY),--ray)

.DEFAULT_GOAL := help

##@ First steps

.PHONY: help
help: ## print this help
	@$(ANY) tools.help

.PHONY: setup
setup: ## make both environments (SERVE=cpu|gpu, TORCH_BACKEND=cu126)
	$(SETUP)

.PHONY: setup-train
setup-train:
	$(SETUP) train

.PHONY: setup-quantize
setup-quantize:
	$(SETUP) train quantize

.PHONY: demo
demo: setup ## the whole chain on the embedded model and the sample data: F1 before, after, merged
	$(RUN) tools.demo

.PHONY: test
test: setup setup-quantize ## lint, format, types, unit tests, and the whole chain on a small setting
	.venv/train/bin/ruff check .
	.venv/train/bin/ruff format --check .
	.venv/train/bin/mypy
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder tests/test_chain.py tests

.PHONY: clean
clean: ## remove what can be made again: caches, generated data, the doctor's reports; never raw files, models or runs (ALL=1: the environments too)
	@$(ANY) tools.clean $(if $(ALL),--all)

##@ 1. Data

.PHONY: download
download: setup-train ## a base model from ModelScope into models/ (MODEL=Qwen/Qwen2.5-7B-Instruct)
	$(RUN) tools.train.download $(MODEL) --out models

.PHONY: new
new: setup-train ## a new task from a data file: reader guessed, labels collected, task file, prompt and run written (TASK=name FROM=file DEV=file MODEL=… READER=…)
	$(RUN) tools.data.new $(TASK) $(if $(FROM),--from "$(FROM)") $(if $(DEV),--dev "$(DEV)") $(if $(READER),--reader $(READER)) $(if $(MODEL),--model "$(MODEL)") $(ARGS)

.PHONY: data
data: setup-train ## raw annotation → examples, Alpaca files, dataset_info.json (TASK=clue; default: every task whose raw files are here)
	$(RUN) tools.data.convert $(TASKS) $(ARGS) --out data/dataset

.PHONY: check
check: setup-train ## what is wrong with raw files, or with a run and its data, and what it will cost (TASK=clue FIX=1 PLOTS=1, or CONF=… ALL=1)
	$(RUN) $(if $(TASK),$(CHECK_DATA),$(if $(CONF),$(CHECK_RUN),$(CHECK_DATA)))

##@ 2. Train

.PHONY: train
train: setup-train ## LoRA SFT with LLaMA-Factory, going on where an interrupted one stopped (CONF=conf/<run>.yaml FRESH=1 NPROC=2)
	$(RUN) tools.train.launch $(CONF) $(ARGS) $(if $(FRESH),--fresh) $(SEVERAL)

.PHONY: best
best: setup ## score every checkpoint of a run, and say which is best by F1 (CONF=… SPLIT=dev)
	$(RUN) tools.eval.best $(CONF) $(ARGS) --split $(SPLIT) --port $(PORT)

##@ 3. Export

.PHONY: export
export: setup-train ## merge the adapter into the base model (CONF=… BEST=1)
	$(RUN) tools.train.export $(CONF) $(ARGS) $(if $(BEST),--best)

.PHONY: quantize
quantize: setup-quantize ## the merged model in 4 or 8 bits, calibrated on the run's own rows (CONF=… METHOD=awq|gptq|fp8)
	$(RUN) tools.train.quantize $(CONF) $(ARGS) --method $(METHOD)

##@ 4. Serve

.PHONY: serve
serve: setup ## base + adapter, or the merged model, over vLLM's OpenAI API on 127.0.0.1 (CONF=… MERGED=1 QUANTIZED=awq BEST=1 WITH=conf/<run>.yaml HOST=127.0.0.1 PORT=8000)
	$(RUN) tools.serve.vllm $(CONF) $(ARGS) $(if $(MERGED),--merged) $(if $(BEST),--best) $(if $(QUANTIZED),--quantized $(QUANTIZED)) \
		$(if $(WITH),--with $(WITH)) $(if $(HOST),--host $(HOST)) --port $(PORT)

.PHONY: web
web: setup ## a page to try a run on: a sentence, a file, its scores; starts a server if none answers (CONF=… MERGED=1 QUANTIZED=awq BEST=1 WEB_PORT=7860 HOST=127.0.0.1)
	$(RUN) tools.serve.web $(CONF) $(ARGS) $(WHICH) $(if $(HOST),--host $(HOST)) --port $(PORT) --web-port $(WEB_PORT)

##@ 5. Evaluate

.PHONY: eval
eval: $(if $(filter hf,$(ENGINE)),setup-train,setup) ## predict and score the dev split; starts a server if none answers (CONF=… MERGED=1 QUANTIZED=awq BEST=1 BASE=1 SPLIT=dev DECODING=schema FRESH=1 ENGINE=offline|ray|hf DEBUG=1)
	$(RUN) tools.eval.run $(CONF) $(ARGS) $(WHICH) --engine $(ENGINE) $(if $(DEBUG),--debug) --decoding $(DECODING) $(if $(FRESH),--fresh) \
		--split $(SPLIT) --port $(PORT)

.PHONY: report
report: setup-train ## what an evaluation says, as one HTML file; `make eval` writes it too (CONF=… MERGED=1 QUANTIZED=awq BEST=1 BASE=1 SPLIT=dev)
	$(RUN) tools.eval.report $(CONF) $(ARGS) $(WHICH) --split $(SPLIT)

.PHONY: compare
compare: setup-train ## is one run better than another, or the leaderboard of a task (RUNS="a b:merged", or TASK=sample)
	$(RUN) tools.eval.compare $(RUNS) $(if $(TASK),--task $(TASK)) $(if $(findstring command,$(origin SPLIT)),--split $(SPLIT)) --out data/outputs/compare $(ARGS)

.PHONY: parity
parity: setup ## adapter = merged (= quantised) on the dev split, within BOUND of F1; exit 1 beyond it (CONF=… SPLIT=dev BOUND=0.02)
	$(RUN) tools.eval.parity $(CONF) $(ARGS) --bound $(BOUND) --split $(SPLIT) --port $(PORT)

.PHONY: card
card: setup-train ## a model card in English and Chinese, with the Hugging Face hub's metadata (CONF=… MERGED=1 QUANTIZED=awq BEST=1 SPLIT=dev)
	$(RUN) tools.eval.card $(CONF) $(ARGS) $(WHICH) --split $(SPLIT)
