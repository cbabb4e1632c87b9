"""A Python service whose C library forgets to free. LEAK_MIB_PER_SECOND (default 2) sets the pace."""

import ctypes
import json
import os
import random
import signal
import sys
import time

LEAK_BYTES_PER_SECOND = float(os.environ.get("LEAK_MIB_PER_SECOND", "2")) * 2**20
BLOCK_BYTES = 2_048
TICK_SECONDS = 0.1

# An event set by the handler of the thread that waits for it deadlocks, now and then, on the event's own lock.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

print("leaky-native: leaking %.2f MiB/s" % (LEAK_BYTES_PER_SECOND / 2**20), flush=True)
owed = 0.0
while True:
    time.sleep(TICK_SECONDS)
    owed += LEAK_BYTES_PER_SECOND * TICK_SECONDS / BLOCK_BYTES * random.uniform(0.5, 1.5)
    while owed >= 1:
        owed -= 1
        libc.memset(libc.malloc(BLOCK_BYTES), 1, BLOCK_BYTES)
    # The Python around it is healthy: replies come and go.
    replies = [json.dumps({"rows": [random.random()] * random.randint(1, 200)}) for _ in range(random.randint(0, 100))]
