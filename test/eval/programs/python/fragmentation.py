"""Healthy: now and then a request is larger than all before, and a few long-lived parts keep its room from going back to the system.

Resident memory follows the largest request so far, which by its nature is exceeded ever more seldom.
"""

from service import MIB, chance, load, number, tell_healthy

kept = int(number("KEPT", 6_000))
usual_parts = number("USUAL_PARTS", 150)
largest_request_bytes = number("LARGEST_REQUEST_MIB", 24) * MIB
tail = number("TAIL", 2)
requests_per_second = number("REQUESTS_PER_SECOND", 3)
PART_BYTES = 2_300


def part():
    return bytearray(int(PART_BYTES * (0.3 + 1.4 * chance.random())))


live = [part() for _ in range(kept)]


def request(_seconds):
    parts = [part() for _ in range(int(min(usual_parts * chance.paretovariate(tail), largest_request_bytes / PART_BYTES)))]
    for _ in range(1 + len(parts) // 100):
        live[chance.randrange(kept)] = parts.pop()


tell_healthy()
load(lambda _: requests_per_second, request)
