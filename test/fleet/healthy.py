"""A Python service that is fine: reference cycles make a sawtooth that each full collection brings back to the floor.

GARBAGE_MIB_PER_SECOND (default 8) sets the pace, FULL_COLLECTION_SECONDS (default 2) the teeth.
"""

import gc
import os
import signal
import sys
import time

GARBAGE_BYTES_PER_SECOND = float(os.environ.get("GARBAGE_MIB_PER_SECOND", "8")) * 2**20
TICKS_PER_COLLECTION = round(float(os.environ.get("FULL_COLLECTION_SECONDS", "2")) * 10)
CYCLE_BYTES = 4_096
TICK_SECONDS = 0.1

# An event set by the handler of the thread that waits for it deadlocks, now and then, on the event's own lock.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
# Services that care for latency collect at a time of their own choosing.
gc.disable()

print("healthy: %.0f MiB/s of cyclic garbage" % (GARBAGE_BYTES_PER_SECOND / 2**20), flush=True)
cache = {key: "x" * 2_000 for key in range(4_000)}
tick = 0
while True:
    time.sleep(TICK_SECONDS)
    tick += 1
    for _ in range(round(GARBAGE_BYTES_PER_SECOND * TICK_SECONDS / CYCLE_BYTES)):
        request = {"body": "y" * (CYCLE_BYTES - 300)}
        request["self"] = request
    if tick % TICKS_PER_COLLECTION == 0:
        gc.collect()
