#!/usr/bin/env python3
"""Fuzzes what comes in from outside: the targets of tests/fuzz/, with cargo-fuzz and libFuzzer.

    tools/fuzz.py                                 # all targets, 15 seconds each
    tools/fuzz.py --seconds 300 money periods     # these, longer
    tools/fuzz.py --replay FILE money             # an input that was found, once more
    tools/fuzz.py --list                          # the targets, with what each asserts

A run begins with the seeds, tests/fuzz/seeds/TARGET/, and with what runs before it have found, which is kept in the cache
outside the clone. An input at fault is left in tests/fuzz/artifacts/ and told with the command that plays it again; when
the fault is mended, it goes to the seeds. Stable Rust and a C++ compiler are enough; the first build takes minutes.

Exit code: 0 nothing was found, 1 something was, 2 it could not be run.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

# The clone stays as it is: compiled modules would be left in it.
sys.dont_write_bytecode = True

from stack.builds import cache  # noqa: E402
from stack.machine import StackError, ended, locked, remove, say  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "fuzz"
SEEDS, ARTIFACTS = FOLDER / "seeds", FOLDER / "artifacts"
SECONDS = 15
# Of one input. What comes from outside is longer at the most, but then there is only more of the same.
BYTES_MAX = 4096
# One input that takes so long, or needs so much memory, is a fault.
TIMEOUT_SECS, MEMORY_MIB = 10, 2048
# Built targets of other dependencies or compilers, beside the latest.
BUILDS_KEPT = 1


@dataclasses.dataclass
class Result:
    target: str
    executions: int
    covered: int
    seconds: float
    code: int
    output: str

    def line(self):
        ended = "" if self.code == 0 else "   FOUND SOMETHING"
        return f"{self.target:12} {self.executions:>12,} executions {self.seconds:>7.0f} s {self.covered:>7,} edges covered{ended}"


def targets():
    return sorted(file.stem for file in (FOLDER / "fuzz_targets").glob("*.rs"))


def asserted(target):
    lines = (FOLDER / "fuzz_targets" / f"{target}.rs").read_text(encoding="utf-8").splitlines()
    told = [line[4:] for line in lines if line.startswith("//! ")]
    return " ".join(told)


def output_of(*command):
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise StackError(f"{' '.join(command)} failed")
    return ran.stdout.strip()


def build_folder():
    made_from = (FOLDER / "Cargo.lock").read_bytes() + output_of("rustc", "--version", "--verbose").encode()
    return cache() / "fuzz" / f"build-{hashlib.sha256(made_from).hexdigest()[:12]}"


def forget_old_builds(current):
    old = [it for it in current.parent.glob("build-*") if it.is_dir() and it != current]
    for folder in sorted(old, key=lambda it: it.stat().st_mtime)[:-BUILDS_KEPT]:
        remove(folder)


def in_memory():
    """Where the targets keep their databases: the disk would be what is measured."""
    folder = "/dev/shm"
    return folder if os.access(folder, os.W_OK) else None


def build(names, into):
    """Builds all of them at once; links them into a folder, where another clone's build does not replace them."""
    tool, folder = output_of("sh", ".ci/cargo-tool", "cargo-fuzz"), build_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # In the order of use.
    os.utime(folder)
    forget_old_builds(folder)
    # Stable Rust has no sanitizers. The product itself has no unsafe code for them to look at.
    locks = ["cargo", "fetch", "--quiet", "--locked", "--manifest-path", str(FOLDER / "Cargo.toml")]
    if subprocess.run(locks, cwd=ROOT, check=False).returncode:
        raise StackError("tests/fuzz/Cargo.lock does not fit the manifests: cargo update --workspace --manifest-path tests/fuzz/Cargo.toml")
    command = [tool, "fuzz", "build", "--fuzz-dir", str(FOLDER), "--sanitizer", "none", "--target-dir", str(folder)]
    with locked(folder.with_name(folder.name + ".lock"), "waiting for another build of the fuzz targets"):
        say(f"building {', '.join(names)}: the first time takes minutes")
        # What would be compiled otherwise is not what the key says.
        environment = {key: value for key, value in os.environ.items() if key not in ("RUSTFLAGS", "CARGO_TARGET_DIR")}
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            raise StackError("the fuzz targets cannot be built")
        host = re.search(r"^host: (\S+)$", output_of("rustc", "--version", "--verbose"), re.MULTILINE)[1]
        for name in names:
            shutil.copy2(folder / host / "release" / name, into / name)


def corpus(target):
    """What was found before; it stays in the cache."""
    folder = cache() / "fuzz" / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fuzz(binary, target, seconds):
    artifacts = ARTIFACTS / target
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [str(binary), str(corpus(target)), *existing_seeds(target), f"-artifact_prefix={artifacts}/",
               f"-max_total_time={seconds}", f"-max_len={BYTES_MAX}", f"-timeout={TIMEOUT_SECS}",
               f"-rss_limit_mb={MEMORY_MIB}", "-print_final_stats=1"]
    begun = time.monotonic()
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, errors="replace", check=False)
    with contextlib.suppress(OSError):
        artifacts.rmdir()
    number = lambda pattern: int(([0] + re.findall(pattern, ran.stderr))[-1])
    executions = number(r"stat::number_of_executed_units: (\d+)") or number(r"^#(\d+)")
    return Result(target, executions, number(r"cov: (\d+)"), time.monotonic() - begun, ran.returncode, ran.stderr)


def existing_seeds(target):
    return [str(SEEDS / target)] if (SEEDS / target).is_dir() else []


def tell(result):
    print(result.line(), flush=True)
    if result.code == 0:
        return
    lines = [line for line in result.output.splitlines() if not re.match(r"^(#\d+|INFO:|stat::|NEW_FUNC|MS:)", line)]
    print("\n".join(lines[-40:]), file=sys.stderr)
    files = re.findall(r"Test unit written to (\S+)", result.output)
    for file in files:
        file = pathlib.Path(file).relative_to(ROOT)
        print(f"again: make fuzz ARGS=\"--replay {file} {result.target}\"\n"
              f"when it is mended: mv {file} tests/fuzz/seeds/{result.target}/", file=sys.stderr)


def fuzz_all(args, folder):
    results = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        running = [pool.submit(fuzz, folder / name, name, args.seconds) for name in args.targets]
        for done in concurrent.futures.as_completed(running):
            results.append(done.result())
            tell(results[-1])
    found = sorted(result.target for result in results if result.code)
    total = sum(result.executions for result in results)
    print(f"{len(results)} targets, {total:,} executions: " + (f"FOUND SOMETHING in {', '.join(found)}" if found else "nothing found"))
    return 1 if found else 0


def replay(args, folder):
    file = pathlib.Path(args.replay).resolve()
    if not file.is_file():
        raise StackError(f"there is no file {args.replay}")
    ran = subprocess.run([folder / args.targets[0], str(file)], cwd=ROOT, check=False)
    return 1 if ran.returncode else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="[default: all]")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help="of each [default: %(default)s]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="at once [default: the cores]")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--replay", metavar="FILE", help="plays one input, and nothing else")
    what.add_argument("--list", action="store_true", help="says what there is")
    args = parser.parse_args()
    unknown = set(args.targets) - set(targets())
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    if args.seconds < 1 or args.jobs < 1:
        parser.error("--seconds and --jobs: at least 1")
    if args.replay and len(args.targets) != 1:
        parser.error("--replay: name the target that found it, and no other")
    args.targets = args.targets or targets()
    return args


def main():
    args = parse_arguments()
    if args.list:
        for name in args.targets:
            print(f"{name:12} {asserted(name)}")
        return 0
    with tempfile.TemporaryDirectory(prefix="wealth-fuzz-") as folder, \
            tempfile.TemporaryDirectory(prefix="wealth-fuzz-", dir=in_memory()) as databases:
        folder = pathlib.Path(folder)
        build(args.targets, folder)
        os.environ["TMPDIR"] = databases
        return (replay if args.replay else fuzz_all)(args, folder)


if __name__ == "__main__":
    sys.exit(ended("fuzz", main, failed=2))
