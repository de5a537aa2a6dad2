#!/usr/bin/env bash
# Fetches ONNX Runtime's library out of its wheel on PyPI: scripts/onnxruntime.sh VERSION FOLDER
# Leaves FOLDER/libonnxruntime.so.VERSION. The wheel's digest is checked; a version that is not listed here is refused.
# ARCH=aarch64 fetches for another machine than this one. Needs python3 with pip; nothing is installed.
set -euo pipefail

version=${1:?"usage: onnxruntime.sh VERSION FOLDER"}
folder=${2:?"usage: onnxruntime.sh VERSION FOLDER"}
arch=${ARCH:-$(uname -m)}

# The library is the same in the wheels of all Python versions; this one is taken.
case "$version-$arch" in
1.31.1-x86_64) sha256=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f ;;
1.31.1-aarch64) sha256=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3 ;;
1.19.0-x86_64) sha256=6f379d1f050cfb55ce015d53727b78ee362febc065c38eed81512b22b757da73 ;;
1.19.0-aarch64) sha256=e94984663963e74fbb468bde9ec6f19dcf890b594b35e249c4dc8789d08993c5 ;;
*)
    echo "onnxruntime: expected version 1.31.1 or 1.19.0 for x86_64 or aarch64, found $version for $arch" >&2
    exit 2
    ;;
esac

name=libonnxruntime.so.$version
[ ! -e "$folder/$name" ] || exit 0
mkdir -p "$folder"
work=$(mktemp -d "$folder/.onnxruntime-XXXXXX")
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work" \
    --implementation cp --python-version 3.11 --abi cp311 --platform "manylinux_2_28_$arch" "onnxruntime==$version"
wheel=$(echo "$work"/onnxruntime-*.whl)
echo "$sha256  $wheel" | sha256sum --check --quiet
python3 - "$wheel" "onnxruntime/capi/$name" "$work/$name" <<'PYTHON'
import shutil
import sys
import zipfile

wheel, member, path = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(path, "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
chmod 644 "$work/$name"
mv "$work/$name" "$folder/$name"
echo "onnxruntime: $folder/$name"
