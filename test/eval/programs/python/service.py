"""What every Python program here shares: parameters, seeded chance, a beat that never loses load, and the truth it tells of itself."""

import json
import os
import random
import time

KIB = 1024
MIB = 1024 * KIB
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def number(name, otherwise):
    return float(os.environ.get(name, otherwise))


chance = random.Random(int(number("SEED", 1)))
_LIMIT_BYTES = int(number("LIMIT_MIB", 96) * MIB)


def text(size):
    return "%016x" % chance.getrandbits(64) + "-" * max(1, int(size) - 65)


def load(per_second, work, beat_seconds=0.1):
    """Calls work(seconds since start) once per unit of load, for ever; a late beat makes up for what it missed."""
    start = time.monotonic()
    last = owed = 0.0
    while True:
        time.sleep(beat_seconds)
        seconds = time.monotonic() - start
        owed += (seconds - last) * per_second(seconds) * chance.uniform(0.5, 1.5)
        last = seconds
        while owed >= 1:
            owed -= 1
            work(seconds)


def _tell(truth):
    print(json.dumps(dict(truth, limitBytes=_LIMIT_BYTES)), flush=True)


def tell_healthy():
    _tell({"leak": False})


def tell_leak(kind, bytes_per_second):
    """Told at the moment the leak begins; the recorder notes when the limit is really reached."""
    with open("/proc/self/statm") as statm:
        resident_bytes = int(statm.read().split()[1]) * PAGE_BYTES
    onset = time.time()
    end = onset + (_LIMIT_BYTES - resident_bytes) / bytes_per_second
    _tell({"leak": True, "kind": kind, "onsetAt": int(onset * 1000), "exhaustsAt": int(end * 1000)})
