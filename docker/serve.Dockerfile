# The serve image: vLLM behind `make serve`, and `make eval`, `parity`, `best`. docs/docker.md tells the whole story.
#
#   docker build -f docker/serve.Dockerfile --build-arg SERVE=gpu -t ner-factory-serve .
#   docker run --rm ner-factory-serve                                  # the list of targets
#
# It holds both environments: `make serve` asks the running server for the trained prompt's tokens, which takes LLaMA-Factory's templates, and only vLLM's own
# process runs in the other one. Up to the installation the lines are train.Dockerfile's, so that the two images share those layers.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04
FROM ${BASE}

# A compiler, because Triton builds the launchers of its kernels when they first run; libnuma, because vLLM's CPU kernels are linked against it. Versions aren't
# pinned: Ubuntu takes a package's old version away when it publishes a security fix, and a pinned one would then stop every build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates g++ libnuma1 make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# With a mounted cache, uv must copy.
ENV UV_CACHE_DIR=/uv-cache UV_LINK_MODE=copy
RUN mkdir -m 1777 /home/ner
WORKDIR /app

# What the installation reads, and no more: a change in the code doesn't install anew.
COPY pyproject.toml ./
COPY requirements requirements
COPY tools/__init__.py tools/errors.py tools/language.py tools/setup.py tools/text.py tools/
ARG TORCH_BACKEND=
# vLLM's build: cpu, or gpu for CUDA 13. A build has no GPU to look at, so it must be said. UV_INDEX adds a wheel index, for a vLLM that is built for CUDA 12.
ARG SERVE=cpu
ARG UV_INDEX
# In one step, because both environments stand on the same torch: what is equal in them is kept once, which only works inside a layer.
RUN --mount=type=cache,target=/uv-cache,sharing=locked --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m tools.setup train ${TORCH_BACKEND:+--torch-backend "${TORCH_BACKEND}"} \
    && python3 -m tools.setup serve --serve "${SERVE}" ${TORCH_BACKEND:+--torch-backend "${TORCH_BACKEND}"} \
    && hardlink --content --minimum-size 65536 .venv

COPY Makefile ./
COPY tools tools
COPY conf conf
COPY --chown=1000:1000 data data
COPY --chown=1000:1000 models models
COPY docker/entrypoint.sh docker/

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="NER Factory: serve" \
      org.opencontainers.image.description="A fine-tuned Qwen over vLLM's OpenAI API, and its score" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Whoever runs the image, 1000 or the owner of the mounted folders, has a name and a home without being in /etc/passwd. Not earlier: what root leaves there or in
# /tmp under that name while it installs, nobody else could write to.
ENV HOME=/home/ner USER=ner LOGNAME=ner PYTHONUNBUFFERED=1
USER 1000:1000
EXPOSE 8000
# A 7B model takes minutes to load; until then a failed check doesn't count.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["help"]
