#!/bin/sh
# Starts a Make target with its variables, in both images: `docker run … ner-factory-serve serve CONF=conf/<run>.yaml ARGS="--host 0.0.0.0"`.
# An API key in a mounted file becomes the environment variable that the server and its clients read: it stands neither in argv nor in `docker inspect`.
set -eu
key_file="${VLLM_API_KEY_FILE:-/run/secrets/vllm_api_key}"
if [ -z "${VLLM_API_KEY:-}" ] && [ -r "$key_file" ]; then
    VLLM_API_KEY="$(cat "$key_file")"
    export VLLM_API_KEY
fi
exec make --no-print-directory "$@"
