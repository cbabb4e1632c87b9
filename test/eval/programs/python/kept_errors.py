"""Leaks slowly under a garbage-collection sawtooth: errors are kept for a report nobody reads, with the frames and what these hold."""

import gc

from service import KIB, MIB, chance, load, number, tell_leak, text

leak_bytes = number("LEAK_KIB_PER_SECOND", 60) * KIB
garbage_bytes = number("GARBAGE_MIB_PER_SECOND", 1.5) * MIB
collect_seconds = number("COLLECT_SECONDS", 15)
PER_SECOND = 20

errors = []
collected = [0.0]


def parse(order):
    raise ValueError("no amount in %s" % order[:20])


def handle(seconds):
    # Requests that refer to themselves are garbage only a collection can take away.
    for _ in range(8):
        request = {"body": text(garbage_bytes / PER_SECOND / 8)}
        request["self"] = request
        del request
    try:
        parse(text(leak_bytes / PER_SECOND * chance.uniform(0.5, 1.5)))
    except ValueError as error:
        errors.append(error)
    if seconds - collected[0] > collect_seconds:
        collected[0] = seconds
        gc.collect()


# Services that care for latency collect at a time of their own choosing.
gc.disable()
tell_leak("heap", leak_bytes)
load(lambda _: PER_SECOND, handle)
