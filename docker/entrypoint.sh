#!/bin/sh
# What both images start: a Make target and its variables, e.g. `docker run … ner-factory-serve serve CONF=conf/<run>.yaml HOST=0.0.0.0`.
# An API key that is mounted as a file becomes the environment variable that the server and its clients read: so it stands neither in argv nor in `docker inspect`.
set -eu
key_file="${VLLM_API_KEY_FILE:-/run/secrets/vllm_api_key}"
if [ -z "${VLLM_API_KEY:-}" ] && [ -r "$key_file" ]; then
    VLLM_API_KEY="$(cat "$key_file")"
    export VLLM_API_KEY
fi
exec make --no-print-directory "$@"
