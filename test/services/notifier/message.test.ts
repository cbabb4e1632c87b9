/** What a message says, in words and figures. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatDuration,
  formatDurations,
  formatSlopeInterval,
  oneLine,
  truncate,
} from '../../../services/notifier/message-format.ts';
import { nextSteps } from '../../../services/notifier/message-advice.ts';
import { sparkline } from '../../../services/notifier/message-sparkline.ts';
import { buildMessage } from '../../../services/notifier/message.ts';
import { plainText } from '../../../services/notifier/webhook.ts';
import { escapeSlack, mrkdwn } from '../../../services/notifier/slack-blocks.ts';
import { foldEvents, type IncidentEvent } from '../../../shared/incident.ts';
import { curves, event, HOUR, INCIDENT, leak, NOW } from './leak.ts';

const message = (events: IncidentEvent[], at = NOW) =>
  buildMessage({ incident: foldEvents(events).get(INCIDENT)!, change: 'updated', series: curves(), at, publicUrl: 'https://leakline' });
const fact = (said: ReturnType<typeof message>, label: string) => plainText(said.facts.find((one) => one.label === label)?.text ?? []);

describe('figures for people', () => {
  it.each([
    [999.6e3, '1.0 MB'],
    [18e6, '18 MB'],
    [1.234e9, '1.2 GB'],
    [-5e3, '−5.0 kB'],
    [0, '0 B'],
  ])('%d bytes are %s', (value, text) => expect(formatBytes(value)).toBe(text));

  it.each([
    [40_000, '40 s'],
    [7 * HOUR, '7 h'],
    [7.4 * HOUR, '7.5 h'],
    [30 * HOUR, '30 h'],
    [72 * HOUR, '3 days'],
    [900 * 24 * HOUR, '2 years'],
  ])('%d ms are %s', (value, text) => expect(formatDuration(value)).toBe(text));

  it('writes both ends of an interval in one unit', () => {
    expect(formatSlopeInterval(800e3, 21e6)).toBe('0.8–21 MB/h');
    expect(formatDurations(5 * HOUR, 11 * HOUR)).toBe('5–11 h');
    expect(formatDurations(HOUR / 2, 3 * HOUR)).toBe('30 min – 3 h');
  });

  it('never cuts a character in two and never exceeds the limit', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, limit) => {
        const cut = truncate(text, limit);
        expect(cut.length).toBeLessThanOrEqual(limit);
        expect(cut).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
        expect(oneLine(text)).not.toMatch(/[\n\r\u202e]/);
      }),
    );
  });

  it('draws a curve with characters', () => {
    expect(sparkline([1, 2, 3, 4, 5, 6, 7, 8])).toBe('▁▂▃▄▅▆▇█');
    expect(sparkline([5, 5, NaN, 5])).toBe('▁▁▁');
    expect(sparkline([NaN, 1])).toBe('');
  });
});

describe('the message', () => {
  it('says what leaks, how fast, how long is left, since when and since which version', () => {
    const said = message([event('opened', NOW)]);
    expect(said.title).toBe('checkout leaks 18 MB/h, runs out of memory in 8 h');
    expect(fact(said, 'Grows by')).toBe('18 MB/h (15–21 MB/h), 3.5 % of the limit per hour');
    expect(fact(said, 'Time left')).toMatch(/^8 h \(7–9.5 h\), full at /);
    expect(fact(said, 'Since')).toMatch(/\(9 h\), version v42 deployed /);
    expect(fact(said, 'Instances')).toBe('3 of 4: checkout-7f9c-x2 checkout-7f9c-k8 checkout-7f9c-p4');
    expect(said.reason).toMatch(/^97 % sure: keeps growing/);
    expect(said.nextSteps[0]).toMatch(/^A restart frees about 1\d\d MB and buys about/);
    expect(said.nextSteps.join()).toContain('heapsnapshot-signal');
  });

  it('names the environment unless it is production, and needs neither limit nor version', () => {
    const judgement = leak({ environment: 'staging', limitBytes: 0, exhaustsAt: null, version: '', onsetAt: null });
    const said = message([event('opened', NOW, { judgement })]);
    expect(said.title).toBe('checkout (staging) leaks 18 MB/h');
    expect(fact(said, 'Time left')).toBe('no memory limit is known');
    expect(fact(said, 'Since')).toBe('not known');
  });

  it('says when the limit has been reached', () => {
    const said = message([event('opened', NOW)], NOW + 9 * HOUR);
    expect(said.title).toBe('checkout leaks 18 MB/h, is at its memory limit');
    expect(said.tone).toBe('urgent');
  });

  it('says why it is over', () => {
    const said = message(
      [event('opened', NOW), event('resolved', NOW + HOUR, { note: 'v43 has stayed calm: floor flat for 6.0 h' })],
      NOW + HOUR,
    );
    expect(said).toMatchObject({ tone: 'resolved', title: 'checkout no longer leaks', nextSteps: [], reason: '' });
    expect(plainText(said.status)).toBe('Resolved just now: v43 has stayed calm: floor flat for 6.0 h');
  });

  it('shows hours where the growth took days, and minutes where it took hours', () => {
    expect(message([event('opened', NOW)]).sql).toContain('FROM samples');
    expect(message([event('opened', NOW, { judgement: leak({ onsetAt: NOW - 200 * HOUR, service: "o'brien\\" }) })]).sql).toContain(
      "FROM memory_hourly\nWHERE service = 'o\\'brien\\\\'",
    );
  });

  it('has advice for each runtime and kind', () => {
    for (const runtime of ['python', 'nodejs', 'jvm', 'go', 'dotnet', 'ruby', 'native'] as const)
      for (const kind of ['heap', 'native', 'mixed', 'unknown'] as const) expect(nextSteps(runtime, kind).length).toBeGreaterThan(0);
  });
});

describe('Slack marks', () => {
  it('come only from us, within the limit, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), fc.string({ maxLength: 60 }), fc.integer({ min: 10, max: 200 }), (plain, code, limit) => {
        const text = mrkdwn([plain, { code }, plain], limit);
        expect(text.length).toBeLessThanOrEqual(limit + 1);
        expect(text).not.toMatch(/[<>]/);
        expect(text).not.toMatch(/&(?!(amp|lt|gt);)/);
      }),
    );
    expect(escapeSlack('<!channel> & co')).toBe('&lt;!channel&gt; &amp; co');
  });
});
