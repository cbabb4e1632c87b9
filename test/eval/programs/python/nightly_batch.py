"""Healthy: a batch loads its rows at about the same time of each round, works on them and lets them go."""

from service import KIB, MIB, chance, load, number, tell_healthy, text

batch_bytes = number("BATCH_MIB", 24) * MIB
every_seconds = number("EVERY_SECONDS", 150)
lasts_seconds = number("LASTS_SECONDS", 35)
PER_SECOND = 40

rows = []
start = [every_seconds * 0.6]
wanted = [batch_bytes]


def step(seconds):
    text(20 * KIB)
    age = seconds - start[0]
    if age > lasts_seconds:
        rows.clear()
        start[0] += every_seconds
        wanted[0] = batch_bytes * chance.uniform(0.8, 1.2)
    elif age > 0 and len(rows) * 16 * KIB < wanted[0]:
        for _ in range(4):
            rows.append([text(8 * KIB), text(8 * KIB)])


tell_healthy()
load(lambda _: PER_SECOND, step)
