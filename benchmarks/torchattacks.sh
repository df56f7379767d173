#!/usr/bin/env bash
# torchattacks in an environment of its own (it pins packages of 2021, which would fight with the project's). Prints the interpreter:
#   UAPKIT_TORCHATTACKS="$(benchmarks/torchattacks.sh)" uapkit bench attacks
# Where it cannot be installed this says so, prints nothing, and the benchmark runs without that peer.
set -u
here="$(cd "$(dirname "$0")/.." && pwd)"
home="${1:-$here/build/torchattacks}"
uv="$here/.tools/bin/uv"
[ -x "$uv" ] || uv="$(command -v uv)" || { echo "torchattacks is skipped: uv is not here, run make setup first" >&2; exit 1; }
python="$home/bin/python"
if ! "$python" -c "import torchattacks" 2>/dev/null; then
  torch="$("$here/.venv/bin/python" -c "import torch; print(torch.__version__.split('+')[0])" 2>/dev/null || echo 2.2)"
  # without its dependencies, then the few that are really imported, at today's versions: the pins do not install any more
  if ! { "$uv" venv --quiet --clear "$home" && "$uv" pip install --quiet --python "$python" "torch==$torch" torchvision numpy scipy tqdm requests \
      && "$uv" pip install --quiet --python "$python" --no-deps torchattacks==3.5.1; } >&2; then
    echo "torchattacks is skipped: it could not be installed (see above)" >&2
    exit 1
  fi
  "$python" -c "import torchattacks" || { echo "torchattacks is skipped: it is installed but cannot be imported" >&2; exit 1; }
fi
echo "$python"
