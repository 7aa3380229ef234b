#!/usr/bin/env python3
"""Counts the instructions of the small pieces of benches/micro/main.rs, with valgrind's callgrind.

Each piece is done N times in one run and 2N times in another; the difference is what N of them take, without what
it takes to get ready. The counts hardly change from run to run, so a change of the code shows where time would
only show noise.

    make bench-micro
    make bench-micro ARGS="--piece event-encode event-decode"

They do depend on the compiler. benches/instructions.json says which one its counts are of; with another one they are
printed, and nothing fails. Prints a table; --json for a program.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

# How often a piece is done; one that takes longer, less often.
TIMES = 500
TIMES_OF = {"fold-20": 50, "fold-200": 10, "insights-2000": 10, "projector-sqlite-1": 60, "projector-sqlite-20": 30, "projector-sqlite-200": 8}
# A piece may take so much more than is expected.
GROWTH_MAX = 0.08


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="benches/micro/, built for release")
    parser.add_argument("--piece", nargs="+", help="only these")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", type=pathlib.Path, metavar="FILE", help=f"fail when a count of this file grew by more than {GROWTH_MAX:.0%}")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE", help="write the counts into this file")
    args = parser.parse_args()
    if not shutil.which("valgrind"):
        print("instructions: not counted: there is no valgrind (Debian, Ubuntu: apt install valgrind)", file=sys.stderr)
        return 0
    binary = args.binary.resolve()
    names = output(binary, "--names").split()
    unknown = set(args.piece or ()) - set(names)
    if unknown:
        parser.error(f"no such piece: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    names = args.piece or names
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(names, pool.map(lambda name: count(binary, name), names)))
    found = {"compiler": compiler(), "instructions": counts}
    expected = json.loads(args.check.read_text()) if args.check else None
    if args.json:
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        show(counts, expected)
    if args.write:
        args.write.write_text(json.dumps(found, indent=2) + "\n")
    return check(expected, found) if expected else 0


def count(binary, name):
    """Of doing the piece once."""
    times = TIMES_OF.get(name, TIMES)
    once, twice = (collected(binary, name, times * runs) for runs in (1, 2))
    return (twice - once) // times


def collected(binary, name, times):
    valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    run = subprocess.run([*valgrind, binary, "--count", name, str(times)], capture_output=True, text=True)
    found = re.search(r"Collected\s*:\s*(\d+)", run.stderr)
    if run.returncode or not found:
        raise SystemExit(f"instructions: {name}: {run.stderr}")
    return int(found[1])


def compiler():
    told = output(os.environ.get("RUSTC", "rustc"), "-vV")
    said = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    return f"rustc {said['release']} for {said['host']}"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def show(counts, expected):
    before = expected["instructions"] if expected else {}
    print(f"{'piece':<22}{'instructions':>14}{'expected':>14}{'change':>9}")
    for name, instructions in counts.items():
        was = before.get(name)
        beside = f"{was:>14,}{instructions / was - 1:>+9.1%}" if was else ""
        print(f"{name:<22}{instructions:>14,}{beside}")


def check(expected, found):
    if expected["compiler"] != found["compiler"]:
        print(f"instructions: nothing is checked: expected are those of {expected['compiler']}, these are of {found['compiler']}",
              file=sys.stderr)
        return 0
    before = expected["instructions"]
    grown = [name for name, instructions in found["instructions"].items()
             if instructions > before.get(name, instructions) * (1 + GROWTH_MAX)]
    for name in grown:
        print(f"instructions: grew by more than {GROWTH_MAX:.0%}: {name}: {found['instructions'][name]:,}, expected {before[name]:,}",
              file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
