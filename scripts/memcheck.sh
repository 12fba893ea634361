#!/bin/sh
# Runs the installed extension under valgrind (memcheck) and fails on any invalid read or write, use of
# uninitialised memory or wrong free that has the extension on its stack.
# `scripts/memcheck.sh [python]`; the interpreter defaults to .venv/bin/python. Takes some minutes.
# Python allocates with malloc here, so that valgrind sees each object; an unstripped wheel
# (`maturin build --profile dev --strip=false`) gives names in the stacks. `scripts/asan.sh` is faster and sees less.
set -eu
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
command -v valgrind >/dev/null || { echo "memcheck: valgrind is missing (apt install valgrind)" >&2; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

status=0
PYTHONMALLOC=malloc PYTHONHASHSEED=0 STASO_HOME="$home/state" valgrind --quiet --tool=memcheck \
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=none --num-callers=40 \
    --child-silent-after-fork=yes --log-file="$home/log" "$python" scripts/memcheck.py || status=$?
[ "$status" -eq 0 ] || { cat "$home/log"; echo "memcheck: the program failed ($status)" >&2; exit 1; }

# A report is a block of lines; those that name the extension are ours, the rest are the interpreter's.
python3 - "$home/log" <<'END'
import re
import sys

log = re.sub(r"==\d+== ?", "", open(sys.argv[1]).read())
blocks = [block for block in log.split("\n\n") if "_core.abi3" in block]
errors = [block for block in blocks if "definitely lost" not in block]
leaks = [block for block in blocks if "definitely lost" in block]
print("\n\n".join(errors + leaks))
print(f"memcheck: {len(errors)} errors and {len(leaks)} leaks with the extension on the stack")
sys.exit(bool(errors))
END
