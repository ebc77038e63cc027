"""Downloads a base model from ModelScope. Nothing else here uses the network.

In: a model's name on ModelScope. Out: models/<name>/, complete or not at all. A second call goes on with a broken download.

    ./ner download Qwen/Qwen2.5-7B-Instruct
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.errors import WANTING, ToolError
from tools.files import write_json

MODELS = Path("models")
ORIGIN = "download.json"  # in the model's folder: its name on the hub


def download(model: str, out: Path = MODELS) -> Path:
    """Downloads `owner/name` into `<out>/<name>` and returns that folder; one that is there stays as it is. Raises ToolError when it fails, or where the folder holds no model."""
    from modelscope import snapshot_download

    folder = out / model.split("/")[-1]
    if folder.is_dir() and any(folder.iterdir()):
        anew = f"To get it anew: mv {folder} {folder}.old, then the same command."
        if not (folder / "config.json").is_file():
            raise ToolError(f"{folder}: is there already, without a config.json. Nothing was downloaded. {anew}")
        print(f"{folder}: is there already, and stays. {anew}", file=sys.stderr)
        return folder
    partial = out / f".{folder.name}.partial"
    try:
        snapshot_download(model, revision="master", local_dir=str(partial))
    except Exception as error:  # ModelScope's, requests' and the file system's own kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        advice = "Check the name on ModelScope and the network; the same command goes on where it stopped."
        raise ToolError(f"{model}: not downloaded: {reason}\n{advice}", WANTING) from None
    write_json(partial / ORIGIN, {"hub": "modelscope", "model": model})
    os.replace(partial, folder)
    return folder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the model and the folder of base models."""
    parser.add_argument("model", nargs="?", metavar="OWNER/NAME", help="the model's name on ModelScope (make: ARGS=OWNER/NAME)")
    parser.add_argument("--out", type=Path, default=MODELS, metavar="DIR", help=f"the folder of base models (default: {MODELS})")


def main(args: argparse.Namespace) -> None:
    """Downloads the model that the words name."""
    if not args.model or args.model.count("/") != 1 or not all(args.model.split("/")):
        raise ToolError(f"'{args.model or ''}': not a model's name; say OWNER/NAME, for example: make download ARGS=Qwen/Qwen2.5-7B-Instruct")
    print(download(args.model, args.out))
