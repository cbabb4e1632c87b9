"""Healthy: reference cycles make a big sawtooth of uneven teeth, and each full collection brings it back to the floor."""

import gc

from service import KIB, MIB, chance, load, number, tell_healthy, text

garbage_bytes = number("GARBAGE_MIB_PER_SECOND", 0.6) * MIB
collect_seconds = number("COLLECT_SECONDS", 60)
PER_SECOND = 20

products = {key: text(2 * KIB) for key in range(4_000)}
next_collection = [collect_seconds]


def handle(seconds):
    for _ in range(8):
        request = {"body": text(garbage_bytes / PER_SECOND / 8), "product": products[chance.randrange(4_000)]}
        request["self"] = request
    if seconds > next_collection[0]:
        next_collection[0] = seconds + collect_seconds * chance.uniform(0.7, 1.3)
        gc.collect()


gc.disable()
tell_healthy()
load(lambda _: PER_SECOND, handle)
