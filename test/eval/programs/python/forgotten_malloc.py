"""Leaks outside the Python heap from the middle of the run on: a C library forgets to free what it made for each reply."""

import ctypes
import json

from service import KIB, chance, load, number, tell_leak

reply_bytes = number("REPLY_KIB", 6) * KIB
replies_per_second = number("REPLIES_PER_SECOND", 20)
onset_seconds = number("ONSET_SECONDS", 240)

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
told = []


def reply(seconds):
    size = int(reply_bytes * chance.uniform(0.5, 1.5))
    made = libc.malloc(size)
    libc.memset(made, 1, size)
    json.loads(json.dumps({"rows": [chance.random()] * chance.randint(1, 200)}))
    if seconds < onset_seconds:
        libc.free(made)
    elif not told:
        told.append(True)
        tell_leak("native", replies_per_second * reply_bytes)


load(lambda _: replies_per_second, reply)
