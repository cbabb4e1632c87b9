import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Spool } from '../../../services/agent/spool.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leakline-spool-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const segments = () =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.seg'))
    .sort();

function drain(spool: Spool): string[] {
  const contents: string[] = [];
  for (let batch = spool.next(); batch !== undefined; batch = spool.next()) {
    contents.push(batch.payload.toString());
    spool.acknowledge(batch);
  }
  return contents;
}

describe('order and acknowledgement', () => {
  it('gives the oldest again and again until it is acknowledged', () => {
    const spool = new Spool(directory, 1 << 20);
    expect(spool.next()).toBeUndefined();
    spool.append(Buffer.from('a'), 3);
    spool.append(Buffer.from('b'), 4);
    expect([spool.next()!.payload.toString(), spool.next()!.payload.toString()]).toEqual(['a', 'a']);
    expect(spool.stats).toMatchObject({ batches: 2, samples: 7 });
    expect(drain(spool)).toEqual(['a', 'b']);
    expect(spool.stats).toMatchObject({ batches: 0, samples: 0, droppedBatches: 0 });
    spool.close();
  });

  it('behaves as a queue through any mix of appends, acknowledgements and restarts', () => {
    const step = fc.oneof(
      fc.nat({ max: 40_000 }).map((size) => ({ size })),
      fc.constant('ack' as const),
      fc.constant('restart' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const own = mkdtempSync(join(directory, 'run-'));
        let spool = new Spool(own, 16 << 20);
        const expected: string[] = [];
        steps.forEach((action, index) => {
          if (action === 'ack') {
            const batch = spool.next();
            expect(batch?.payload.toString().slice(0, 8)).toBe(expected.shift()?.slice(0, 8));
            if (batch !== undefined) spool.acknowledge(batch);
          } else if (action === 'restart') {
            spool.close();
            spool = new Spool(own, 16 << 20);
          } else {
            const content = `${index}`.padEnd(8) + 'x'.repeat(action.size);
            expect(spool.append(Buffer.from(content), 1)).toBe(true);
            expected.push(content);
          }
          expect(spool.stats.batches).toBe(expected.length);
        });
        expect(drain(spool)).toEqual(expected);
        expect(spool.stats).toMatchObject({ batches: 0, samples: 0, droppedBatches: 0, droppedSamples: 0 });
        spool.close();
      }),
      { numRuns: 30 },
    );
  });

  it('wakes who waits for something to send', async () => {
    const spool = new Spool(directory, 1 << 20);
    const stop = new AbortController();
    const waiting = spool.ready(stop.signal);
    spool.append(Buffer.from('a'), 1);
    await waiting;
    drain(spool);
    const aborted = spool.ready(stop.signal);
    stop.abort(new Error('stopping'));
    await expect(aborted).rejects.toThrow('stopping');
    spool.close();
  });

  it('leaves next to nothing on disk when everything was sent', () => {
    const spool = new Spool(directory, 64 << 20);
    for (let round = 0; round < 200; round++) {
      spool.append(Buffer.alloc(10_000, round), 1);
      drain(spool);
    }
    expect(spool.stats.bytes).toBeLessThan(80 << 10);
    expect(segments().length).toBeLessThanOrEqual(1);
    spool.close();
  });
});

describe('bounds', () => {
  it('drops the oldest beyond its size, counts it, and never grows past it', () => {
    const spool = new Spool(directory, 1 << 20);
    for (let index = 0; index < 300; index++) {
      expect(spool.append(Buffer.from(`${index}:${'x'.repeat(20_000)}`), 2)).toBe(true);
      expect(spool.stats.bytes).toBeLessThanOrEqual(1 << 20);
    }
    const { batches, droppedBatches, droppedSamples } = spool.stats;
    expect(batches + droppedBatches).toBe(300);
    expect(droppedSamples).toBe(2 * droppedBatches);
    const left = drain(spool).map((content) => Number(content.split(':')[0]));
    expect(left).toEqual(Array.from({ length: batches }, (_, index) => droppedBatches + index));
    spool.close();
  });

  it('an acknowledgement of what was dropped meanwhile acknowledges nothing else', () => {
    const spool = new Spool(directory, 512 << 10);
    spool.append(Buffer.alloc(60_000, 'a'), 1);
    const inFlight = spool.next()!;
    for (let index = 0; index < 20; index++) spool.append(Buffer.alloc(60_000, 'b'), 1);
    const { batches } = spool.stats;
    spool.acknowledge(inFlight);
    expect(spool.stats.batches).toBe(batches);
    spool.close();
  });

  it('refuses, and counts, a batch larger than the whole spool', () => {
    const spool = new Spool(directory, 100_000);
    expect(spool.append(Buffer.alloc(200_000), 9)).toBe(false);
    expect(spool.stats).toMatchObject({ batches: 0, droppedBatches: 1, droppedSamples: 9 });
    spool.close();
  });

  it('shrinks to a smaller limit set at a restart', () => {
    const first = new Spool(directory, 8 << 20);
    for (let index = 0; index < 40; index++) first.append(Buffer.alloc(100_000), 1);
    first.close();
    const second = new Spool(directory, 2 << 20);
    expect(second.stats.bytes).toBeLessThanOrEqual(2 << 20);
    expect(second.stats.batches + second.stats.droppedBatches).toBe(40);
    second.close();
  });
});

describe('damage', () => {
  const filled = () => {
    const spool = new Spool(directory, 1 << 20);
    for (const content of ['a', 'b', 'c']) spool.append(Buffer.from(content), 1);
    spool.close();
    return join(directory, segments()[0]!);
  };

  it('a torn tail costs the torn batch alone', () => {
    const file = filled();
    truncateSync(file, readFileSync(file).length - 1);
    expect(drain(new Spool(directory, 1 << 20))).toEqual(['a', 'b']);
  });

  it('rubbish behind the last frame is not read', () => {
    appendFileSync(filled(), Buffer.from([0, 0, 0, 3, 9, 9, 9, 9, 1, 2, 3]));
    expect(drain(new Spool(directory, 1 << 20))).toEqual(['a', 'b', 'c']);
  });

  it('a changed byte never comes out as data', () => {
    const file = filled();
    const intact = readFileSync(file);
    for (let at = 0; at < intact.length; at++) {
      const bytes = Buffer.from(intact);
      bytes[at]! ^= 0x40;
      writeFileSync(file, bytes);
      rmSync(join(directory, 'cursor'), { force: true });
      const spool = new Spool(directory, 1 << 20);
      const read = spool.next()?.payload.toString();
      expect([undefined, 'a']).toContain(read);
      spool.close();
    }
  });

  it('a broken cursor means sending again, not losing', () => {
    filled();
    const spool = new Spool(directory, 1 << 20);
    spool.acknowledge(spool.next()!);
    spool.close();
    writeFileSync(join(directory, 'cursor'), '1 15 0');
    expect(drain(new Spool(directory, 1 << 20))).toEqual(['a', 'b', 'c']);
  });

  it('segments deleted by someone else are counted as dropped, and spooling goes on', () => {
    const spool = new Spool(directory, 1 << 20);
    spool.append(Buffer.from('a'), 1);
    rmSync(directory, { recursive: true });
    expect(spool.next()).toBeUndefined();
    expect(spool.stats.droppedBatches).toBe(1);
    spool.append(Buffer.from('b'), 1);
    expect(drain(spool)).toEqual(['b']);
    spool.close();
  });
});
