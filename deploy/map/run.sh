#!/bin/sh
# What a MONAI Application Package runs: one study in, results out, then it ends.
set -eu
input="${HOLOSCAN_INPUT_PATH:-/var/holoscan/input}"
output="${HOLOSCAN_OUTPUT_PATH:-/var/holoscan/output}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
burden run "$input" -o "$work/out" "$@"
# Results appear in the output folder only when all of them are there.
cp -R "$work/out/." "$output/"
