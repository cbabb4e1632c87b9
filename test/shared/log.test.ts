import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLog, redact } from '../../shared/log.ts';

describe('log', () => {
  it('never writes a secret, wherever it stands in a line', () => {
    const secret = 'xoxb-1234-secret"with"quotes';
    const lines: string[] = [];
    const log = createLog({ level: 'debug', secrets: [secret], destination: { write: (line) => lines.push(line) } });
    log.error({ err: new Error(`refused ${secret}`), nested: { deep: [secret] } }, `posting with ${secret}`);
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('xoxb-1234');
    expect(lines[0]).toContain('[redacted]');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'error' });
  });

  it('leaves no tail of a secret that contains another', () => {
    expect(redact('a hunter2hunter2 b hunter2', ['hunter2', 'hunter2hunter2'])).toBe('a [redacted] b [redacted]');
  });

  it('redacts any secret from any text', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 4 }), fc.string(), fc.string(), (secret, before, after) => {
        fc.pre(!'[redacted]'.includes(secret) && !before.includes('[') && !after.includes('['));
        const text = redact(before + secret + after, [secret]);
        expect(text.replaceAll('[redacted]', '')).not.toContain(secret);
      }),
    );
  });
});
