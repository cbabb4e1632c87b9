import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseProbeLine } from '../../../services/agent/probe-line.ts';

const line = { v: 1, pid: 7, start_ticks: 99, runtime: 'nodejs', runtime_version: '20.1.0', heap_used: 5, gc_count: 2 };

test('a good line', () => {
  expect(parseProbeLine(JSON.stringify({ ...line, service: 'checkout', unknown: 1 }))).toEqual({
    pid: 7,
    startTicks: 99,
    reading: { runtime: 'nodejs', service: 'checkout', heap_used: 5, gc_count: 2, labels: { runtime_version: '20.1.0' } },
  });
});

test.each([
  ['negative', -1],
  ['not a number', '5'],
  ['null', null],
  ['beyond exact integers', 1e300],
])('a metric that is %s is left out, the rest stays', (_, value) => {
  const reading = parseProbeLine(JSON.stringify({ ...line, heap_used: value }))?.reading;
  expect(reading).not.toHaveProperty('heap_used');
  expect(reading).toHaveProperty('gc_count', 2);
});

test('what the agent sees better from outside cannot be claimed from inside', () => {
  expect(parseProbeLine(JSON.stringify({ ...line, rss: 1, memory_limit: 1 }))?.reading).not.toHaveProperty('rss');
});

test.each([
  ['no JSON', 'hello'],
  ['no object', '[]'],
  ['another version', JSON.stringify({ ...line, v: 2 })],
  ['no pid', JSON.stringify({ ...line, pid: undefined })],
  ['a pid of 0', JSON.stringify({ ...line, pid: 0 })],
  ['no start', JSON.stringify({ ...line, start_ticks: undefined })],
  ['an unknown runtime', JSON.stringify({ ...line, runtime: 'cobol' })],
])('%s is no line', (_, text) => {
  expect(parseProbeLine(text)).toBeUndefined();
});

test('nothing makes it throw, and no name comes through that is not a metric or an identity', () => {
  const allowed = /^(heap_|gc_|external|objects|requests|runtime|service|environment|version|instance|labels)/;
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.dictionary(fc.string(), fc.jsonValue()).map((more) => JSON.stringify({ ...more, ...line })),
      ),
      (text) => {
        for (const name of Object.keys(parseProbeLine(text)?.reading ?? {})) expect(name).toMatch(allowed);
      },
    ),
  );
});
