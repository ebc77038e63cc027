"""Downloads a base model from ModelScope, as the only thing here that uses the network.

In: a model's name there. Out: models/<name>/, complete or not at all.

    python -m tools.train.download Qwen/Qwen2.5-7B-Instruct --out models
"""

from __future__ import annotations

import os
from pathlib import Path

from tools.errors import WANTING, ToolError, run
from tools.files import write_json

ORIGIN = "download.json"  # in the model's folder: its name on the hub, which the folder's own doesn't tell


def download(model: str, out: Path) -> Path:
    """Fetch `owner/name` into `<out>/<name>`; a broken download is resumed by a second call. Raises ToolError when it fails."""
    from modelscope import snapshot_download

    folder = out / model.split("/")[-1]
    if (folder / "config.json").is_file():
        return folder
    partial = out / f".{folder.name}.partial"
    try:
        snapshot_download(model, revision="master", local_dir=str(partial))
    except Exception as error:  # ModelScope's, requests' and the file system's own kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ToolError(
            f"{model}: not downloaded: {reason}\nCheck the name on ModelScope and the network; calling it again resumes.", WANTING
        ) from None
    write_json(partial / ORIGIN, {"hub": "modelscope", "model": model})
    os.replace(partial, folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train.download", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", nargs="?", help="owner/name on ModelScope (make: MODEL=Qwen/Qwen2.5-7B-Instruct)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of base models, usually models")
    args = parser.parse_args()
    if not args.model or args.model.count("/") != 1:
        raise ToolError(f"'{args.model or ''}': not owner/name; say MODEL=Qwen/Qwen2.5-7B-Instruct, for example.")
    print(download(args.model, args.out))


if __name__ == "__main__":
    run(main)
