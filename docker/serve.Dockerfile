# The serve image: vLLM behind `make serve`, and `make eval`, `parity`, `best`. See docs/docker.md.
#
#   docker build -f docker/serve.Dockerfile --build-arg SERVE=gpu -t ner-factory-serve .
#   docker run --rm ner-factory-serve                                  # the list of targets
#
# It holds both environments: `make serve` compares the server's prompt with the trained one, which takes LLaMA-Factory's templates; only vLLM's own process runs in the
# other one. Up to the installation the lines are train.Dockerfile's, so that the two images share those layers.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04
FROM ${BASE}

# A compiler, because Triton builds the launchers of its kernels when they first run; libnuma, because vLLM's CPU kernels are linked against it; tcmalloc, because
# a CPU loses a third of its time with glibc's allocator. Versions aren't pinned: Ubuntu removes a package's old version when it publishes a security fix, and a pinned
# one would then stop every build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates g++ libnuma1 libtcmalloc-minimal4 make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# With a mounted cache, uv must copy.
ENV UV_CACHE_DIR=/uv-cache UV_LINK_MODE=copy
RUN mkdir -m 1777 /home/ner
WORKDIR /app

# Only what the installation reads: a change in other code doesn't install anew.
COPY ner pyproject.toml ./
COPY requirements requirements
COPY tools/__init__.py tools/__main__.py tools/allocator.py tools/cli.py tools/errors.py tools/files.py tools/install_log.py tools/process.py tools/setup.py tools/text.py tools/variant.py tools/
ARG TORCH_BACKEND=
# vLLM's build: cpu, or gpu for CUDA 13. The build of an image sees no GPU, so this can't be found out. UV_INDEX adds a wheel index, for a vLLM that is built for CUDA 12.
ARG SERVE=cpu
ARG UV_INDEX
# One step, because files that are equal in both environments (torch above all) are kept once, which only works inside a layer.
RUN --mount=type=cache,target=/uv-cache,sharing=locked --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./ner setup train ${TORCH_BACKEND:+--torch-backend "${TORCH_BACKEND}"} \
    && ./ner setup serve --serve "${SERVE}" ${TORCH_BACKEND:+--torch-backend "${TORCH_BACKEND}"} \
    && hardlink --content --minimum-size 65536 .venv

COPY LICENSE Makefile ./
COPY tools tools
COPY conf conf
COPY --chown=1000:1000 data data
COPY --chown=1000:1000 models models
COPY docker/entrypoint.sh docker/

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="NER Factory: serve" \
      org.opencontainers.image.description="A fine-tuned Qwen over vLLM's OpenAI API, and its score" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The user, 1000 or the owner of the mounted folders, gets a name and a home without an entry in /etc/passwd. This stands behind the installation: nobody else could
# write to files that root leaves in that home, or in /tmp under that name.
ENV HOME=/home/ner USER=ner LOGNAME=ner PYTHONUNBUFFERED=1
USER 1000:1000
EXPOSE 8000
# A 7B model takes minutes to load; until then a failed check doesn't count.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["help"]
