#!/usr/bin/env bash
# A mercure processing module: mercure gives the images in MERCURE_IN_DIR, with task.json, and sends on
# the DICOM files of MERCURE_OUT_DIR. Settings are those of the module or the rule ("process" >
# "settings" in task.json): device, model, draws, strict, objects.
set -Eeuo pipefail
: "${MERCURE_IN_DIR:?is set by mercure}" "${MERCURE_OUT_DIR:?is set by mercure}"

setting() { # NAME DEFAULT
  python - "$MERCURE_IN_DIR/task.json" "$1" "$2" <<'PYTHON'
import json, sys

path, name, default = sys.argv[1:]
try:
    process = json.load(open(path)).get("process") or {}
    steps = process if isinstance(process, list) else [process]
    found = [s["settings"][name] for s in steps if name in (s.get("settings") or {})]
    value = found[0] if found else default
    print(*value if isinstance(value, list) else [value])
except (OSError, ValueError):
    print(default)
PYTHON
}

arguments=(--device "$(setting device auto)" --draws "$(setting draws 256)")
model="$(setting model '')"
[ -z "$model" ] || arguments+=(--model "$model")
[[ "$(setting strict False)" != [Tt]rue ]] || arguments+=(--strict)

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/images"
find "$MERCURE_IN_DIR" -maxdepth 1 -type f -name '*.dcm' -exec cp -t "$work/images" {} +
burden run "$work/images" -o "$work/out" --quiet "${arguments[@]}"
for object in seg sr sc report; do
  case " $(setting objects 'seg sr sc report') " in *" $object "*) ;; *) continue ;; esac
  if [ -d "$work/out/dicom/$object" ]; then
    for file in "$work/out/dicom/$object"/*.dcm; do cp "$file" "$MERCURE_OUT_DIR/$object-$(basename "$file")"; done
  elif [ -f "$work/out/dicom/$object.dcm" ]; then
    cp "$work/out/dicom/$object.dcm" "$MERCURE_OUT_DIR/$object.dcm"
  fi
done
