# NER Factory: one line a verb. `make` prints this help; `./ner <verb> --help` prints a verb's words.
# CONF names a run, TASK a task, WHICH one of a run's models; ARGS adds a verb's other words: make train CONF=conf/<run>.yaml ARGS="lora_rank=16 --fresh"

CONF :=
TASK :=
WHICH :=
SPLIT :=
PORT :=
ARGS :=
# The Python that makes the environments, 3.11 or 3.12; vLLM's build (auto, cpu or gpu); torch's build for an older NVIDIA driver, such as cu126.
PYTHON := python3
SERVE := auto
TORCH_BACKEND :=
export PYTHON

# What a variable of earlier releases is called now.
GONE := MERGED|WHICH=merged QUANTIZED|WHICH=merged-awq BEST|WHICH=best BASE|WHICH=base FRESH|ARGS=--fresh FIX|ARGS=--fix PLOTS|ARGS=--plots \
	ALL|ARGS=--all ENGINE|ARGS="--engine_…" DEBUG|ARGS=--debug DECODING|ARGS="--decoding_schema" BOUND|ARGS="--bound_…" METHOD|ARGS="--method_…" \
	HOST|ARGS="--host_…" WITH|ARGS="--with_…" WEB_PORT|ARGS="--web-port_…" RUNS|ARGS="…" FROM|ARGS="--from_…" DEV|ARGS="--dev_…" \
	READER|ARGS="--reader_…" MODEL|ARGS="…" NPROC|ARGS="--nproc_…" NNODES|ARGS="--nnodes_…" NODE_RANK|ARGS="--node-rank_…" \
	MASTER_ADDR|ARGS="--master-addr_…" MASTER_PORT|ARGS="--master-port_…" RAY|nothing:_docs/cluster.md
$(foreach pair,$(GONE),$(if $(filter command,$(word 1,$(origin $(firstword $(subst |, ,$(pair)))))),\
	$(error $(firstword $(subst |, ,$(pair)))= is now $(subst _, ,$(lastword $(subst |, ,$(pair)))))))

SETUP = @./ner setup --serve $(SERVE) $(TORCH_BACKEND:%=--torch-backend %)
TASKS = $(or $(TASK:%=conf/task/%.yaml),$(wildcard conf/task/*.yaml))
WHICH_OPTION = $(WHICH:%=--which %)
SPLIT_OPTION = $(SPLIT:%=--split %)
PORT_OPTION = $(PORT:%=--port %)
TASK_OPTION = $(TASK:%=--task %)
OF_RUN = $(CONF) $(ARGS) $(WHICH_OPTION) $(TASK_OPTION)

.DEFAULT_GOAL := help

##@ First steps
.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^##@ /{print "\n" substr($$0, 5)} /^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile
.PHONY: setup
setup: ## install both environments
	$(SETUP)
.PHONY: setup-train
setup-train:
	$(SETUP) train
.PHONY: setup-quantize
setup-quantize:
	$(SETUP) train quantize
.PHONY: demo
demo: ## the whole chain on the embedded model and the sample data
	@echo "make demo: 5 to 15 minutes on 2 cores, by processor. Where .venv/ is empty, about 4 GB are downloaded before that, and take 8 GB of disk."
	$(SETUP)
	./ner demo $(ARGS)
.PHONY: test
test: ## lint, imports, types, unit tests, and the whole chain on a small setting
	@echo "make test: 22 minutes on 2 cores with AVX-512, 32 to 55 without. Where .venv/ is empty, about 4 GB are downloaded before that, and take 8 GB of disk."
	$(SETUP) train serve quantize
	.venv/train/bin/ruff check .
	.venv/train/bin/ruff format --check .
	.venv/train/bin/lint-imports
	.venv/train/bin/mypy
	OMP_NUM_THREADS=1 .venv/train/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
.PHONY: clean
clean: ## remove what can be made again; never raw files, models or runs
	./ner clean $(ARGS)

##@ 1. Data
.PHONY: download
download: setup-train ## a base model into models/ (ARGS=Qwen/Qwen2.5-7B-Instruct)
	./ner download $(ARGS)
.PHONY: new
new: setup-train ## a new task from an annotated file (TASK=name ARGS="--from FILE")
	./ner new $(TASK) $(ARGS)
.PHONY: data
data: setup-train ## raw annotation → examples and Alpaca files (TASK=clue; default: every task whose raw files are here)
	./ner data $(TASKS) $(ARGS)
.PHONY: check
check: setup-train ## what is wrong with raw files (TASK=clue), or with a run and what it costs (CONF=…)
	./ner check $(if $(TASK),$(TASKS) $(CONF:%=--conf %),$(or $(CONF),$(TASKS))) $(ARGS)
.PHONY: show
show: setup-train ## one row's way from raw line to token ids and labels (CONF=… ARGS="--row 1")
	./ner show $(CONF) $(ARGS) $(SPLIT_OPTION)
.PHONY: suspects
suspects: setup ## likely label errors, the worst first (TASK=sample; with a run's answers: CONF=… ARGS="--folds 5")
	./ner suspects $(TASK:%=conf/task/%.yaml) $(CONF:%=--run %) $(ARGS) $(PORT_OPTION)
.PHONY: merge
merge: setup-train ## annotators' corrections back into the raw files (TASK=sample ARGS=EXPORT)
	./ner merge $(TASK:%=conf/task/%.yaml) $(ARGS)
.PHONY: annotate
annotate: setup ## unlabelled texts for annotators, what teaches most first (CONF=… ARGS=FILE)
	./ner annotate $(ARGS) $(CONF:%=--run %) $(WHICH_OPTION) $(TASK_OPTION) $(PORT_OPTION)

##@ 2. Train
.PHONY: train
train: setup-train ## a LoRA adapter (CONF=conf/<run>.yaml)
	./ner train $(CONF) $(ARGS)
.PHONY: best
best: setup ## score every checkpoint, record the best (CONF=…)
	./ner best $(CONF) $(ARGS) $(TASK_OPTION) $(SPLIT_OPTION) $(PORT_OPTION)

##@ 3. Export
.PHONY: export
export: setup-train ## merge the adapter into the base model (CONF=… WHICH=best)
	./ner export $(CONF) $(ARGS) $(WHICH_OPTION)
.PHONY: quantize
quantize: setup-quantize ## the merged model in 4 or 8 bits (CONF=… ARGS="--method awq")
	./ner quantize $(CONF) $(ARGS)

##@ 4. Serve
.PHONY: serve
serve: setup ## base and adapter, or a merged model, over vLLM's OpenAI API (CONF=… WHICH=merged PORT=8000)
	./ner serve $(CONF) $(ARGS) $(WHICH_OPTION) $(PORT_OPTION)
.PHONY: web
web: setup ## a page to try a run on (CONF=…)
	./ner web $(OF_RUN) $(PORT_OPTION)
.PHONY: extract
extract: setup ## annotate a file of texts (CONF=… ARGS="FILE --out FILE")
	./ner extract $(ARGS) $(CONF:%=--run %) $(WHICH_OPTION) $(TASK_OPTION) $(PORT_OPTION)

##@ 5. Evaluate
.PHONY: eval
eval: setup ## predict, score and report a split (CONF=… WHICH=base SPLIT=dev)
	./ner eval $(OF_RUN) $(SPLIT_OPTION) $(PORT_OPTION)
.PHONY: predict
predict: setup ## only ask a model for a split (CONF=… ARGS="--out DIR")
	./ner predict $(OF_RUN) $(SPLIT_OPTION) $(PORT_OPTION)
.PHONY: calibrate
calibrate: setup ## how sure a model's entities are, and thresholds for a precision (CONF=… WHICH=merged)
	./ner calibrate $(OF_RUN) $(SPLIT_OPTION) $(PORT_OPTION)
.PHONY: score
score: setup-train ## only score predictions (TASK=clue ARGS="--examples FILE --predictions FILE --out DIR")
	./ner score $(TASKS) $(ARGS)
.PHONY: report
report: setup-train ## an evaluation as one HTML page (CONF=… WHICH=merged)
	./ner report $(OF_RUN) $(SPLIT_OPTION)
.PHONY: compare
compare: setup-train ## is one run better than another (ARGS="a b:merged"), or a leaderboard (TASK=sample)
	./ner compare $(ARGS) $(TASK_OPTION) $(SPLIT_OPTION)
.PHONY: gate
gate: setup-train ## fail where a run is worse than a baseline beyond chance (CONF=… ARGS="--baseline b")
	./ner gate $(OF_RUN) $(SPLIT_OPTION)
.PHONY: parity
parity: setup ## merged and quantised models against their adapter (CONF=…)
	./ner parity $(CONF) $(ARGS) $(TASK_OPTION) $(SPLIT_OPTION) $(PORT_OPTION)
.PHONY: curve
curve: setup ## would more data help? Trains on shares of the rows (CONF=… ARGS="--seeds 42")
	./ner curve $(CONF) $(ARGS) $(SPLIT_OPTION) $(PORT_OPTION)
.PHONY: card
card: setup-train ## a model card (CONF=…)
	./ner card $(OF_RUN) $(SPLIT_OPTION)
