/** pino, with redaction of everything the configuration marks as secret. One line per event, never one per sample. */
import { pino, type Logger } from 'pino';

export type { Logger };

export interface LogOptions {
  readonly level: 'silent' | 'error' | 'warn' | 'info' | 'debug';
  /** Values that must never appear in a line; replaced by `[redacted]` wherever they stand. */
  readonly secrets: readonly string[];
  readonly destination?: { write(line: string): void };
}

/** Replaces every secret within a text. Longest first, so a secret that contains another leaves no tail. */
export function redact(text: string, secrets: readonly string[]): string {
  return [...secrets]
    .filter((secret) => secret.length >= 4)
    .sort((a, b) => b.length - a.length)
    .reduce(
      (redacted, secret) => redacted.replaceAll(secret, '[redacted]').replaceAll(JSON.stringify(secret).slice(1, -1), '[redacted]'),
      text,
    );
}

export function createLog(options: LogOptions): Logger {
  const destination = options.destination ?? { write: (line: string) => void process.stderr.write(line) };
  return pino(
    { level: options.level, base: {}, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    {
      write: (line: string) => {
        destination.write(redact(line, options.secrets));
      },
    },
  );
}
