# The train image: `make data`, `check`, `train`, `export` and every other verb that needs no server. See docs/docker.md.
#
#   docker build -f docker/train.Dockerfile -t ner-factory-train .
#   docker run --rm ner-factory-train                                  # the list of targets
#
# BASE is a CUDA 13 base, because the locked torch is built for CUDA 13. torch's wheels bring their own CUDA libraries: NVIDIA's smallest flavour is enough, and so is
# a plain ubuntu:24.04. For a driver of CUDA 12: --build-arg BASE=nvidia/cuda:12.6.3-base-ubuntu24.04 --build-arg TORCH_BACKEND=cu126.
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
RUN --mount=type=cache,target=/uv-cache,sharing=locked --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./ner setup train ${TORCH_BACKEND:+--torch-backend "${TORCH_BACKEND}"}

COPY LICENSE Makefile ./
COPY tools tools
COPY conf conf
COPY --chown=1000:1000 data data
COPY --chown=1000:1000 models models
COPY docker/entrypoint.sh docker/

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="NER Factory: train" \
      org.opencontainers.image.description="From labelled Chinese text to a LoRA adapter, with LLaMA-Factory" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The user, 1000 or the owner of the mounted folders, gets a name and a home without an entry in /etc/passwd. This stands behind the installation: nobody else could
# write to files that root leaves in that home, or in /tmp under that name.
ENV HOME=/home/ner USER=ner LOGNAME=ner PYTHONUNBUFFERED=1
USER 1000:1000
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["help"]
