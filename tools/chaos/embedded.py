"""The embedded profile on a disk that fills: everything in one process, on a small file system of its own."""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

from proving.world import Process, answers, wait_for
from stack.machine import free_port

from .world import QUIET, READY_SECS_MAX, Supervised

SIZE_MIB = 96
# With so little left the next commits fit, then no more.
LEFT_KIB = (0, 64, 512)


class Embedded:
    """`close` leaves nothing behind."""

    def __init__(self, binary, logs=None):
        self.binary = str(binary)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wealth-chaos-disk-"))
        self.log = logs / "embedded.log" if logs else None
        self.data = self.folder / "data"
        self.api, self.internal = (f"127.0.0.1:{free_port(set())}" for _ in range(2))
        self.process = None

    def __enter__(self):
        self.data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(self.data)], check=True)
        self.process = Supervised("embedded", self.launch)
        self.wait_until_ready()
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.stop()
        subprocess.run(["umount", "--lazy", str(self.data)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def settings(self):
        return {"WEALTH__DATA_DIR": str(self.data), "WEALTH__HTTP__PUBLIC_ADDR": self.api,
                "WEALTH__HTTP__INTERNAL_ADDR": self.internal,
                "WEALTH__LIMITS__REQUESTS_PER_MINUTE": "0", "WEALTH__LIMITS__SIGN_IN_PER_MINUTE": "0",
                "WEALTH__AUTH__HASH_MEMORY_KIB": "8", **QUIET}

    def launch(self):
        return Process([self.binary], self.settings, log=self.log)

    def wait_until_ready(self):
        wait_for(f"the embedded one is not ready: {self.process.process.last_lines()}",
                 lambda: answers(f"http://{self.internal}/readyz"), READY_SECS_MAX)

    def run(self, *arguments, seconds=60):
        done = subprocess.run([self.binary, *arguments], env={**os.environ, **self.settings}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds, check=False)
        return done.returncode, done.stdout if done.returncode in (0, 1) else done.stderr

    def fill_and_free(self, seed, times):
        """The disk fills under way, again and again; every second time the process is killed while it is full."""
        chance, filler = random.Random(f"{seed} disk"), self.data / "filler"
        for number in range(times):
            time.sleep(chance.uniform(1, 3))
            self.fill(filler, chance.choice(LEFT_KIB) * 1024)
            time.sleep(chance.uniform(1, 3))
            if number % 2:
                self.process.kill()
                time.sleep(chance.uniform(0, 2))
            filler.unlink()
            self.wait_until_ready()

    def fill(self, filler, left):
        """Up to so many bytes that are left, however much is written meanwhile."""
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while (free := self.free() - left) > 0:
                file.write(bytes(min(free, 1 << 20)))

    def free(self):
        found = os.statvfs(self.data)
        return found.f_bavail * found.f_frsize
