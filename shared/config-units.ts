/** Durations and sizes as people write them in the configuration, held in milliseconds and bytes. */
import bytes from 'bytes';
import ms, { type StringValue } from 'ms';
import { z } from 'zod';

export const duration = (fallback: string, longest?: StringValue) =>
  z
    .union([z.string(), z.number()])
    .transform((value, context) => {
      const parsed = typeof value === 'number' ? value : ms(value as StringValue);
      if (parsed >= 0 && parsed <= (longest === undefined ? Number.MAX_VALUE : ms(longest))) return parsed;
      const limit = longest === undefined ? '' : `, ${longest} at most`;
      context.addIssue({ code: 'custom', message: `must be a duration such as 10s, 5m or 14d${limit}` });
      return z.NEVER;
    })
    .prefault(fallback);

/** Times of the store end in 2106: beyond, they begin anew, and rows would go at once. */
export const retention = (fallback: string) => duration(fallback, '50y');

export const size = (fallback: string) =>
  z
    .union([z.string(), z.number()])
    .transform((value, context) => {
      const parsed = typeof value === 'number' ? value : bytes.parse(value.replace(/iB$/i, 'B'));
      if (parsed !== null && Number.isFinite(parsed) && parsed >= 0) return parsed;
      context.addIssue({ code: 'custom', message: 'must be a size such as 512KiB or 64MiB' });
      return z.NEVER;
    })
    .prefault(fallback);
