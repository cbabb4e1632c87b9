/**
 * The notifier's ports over one append-only file: the same meaning as the tables and the view `deliveries`, readable by several
 * processes, and it survives kill -9. test/services/notifier/store.test.ts holds the real store against the same promises.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { NotifierPorts } from '../../services/notifier/notifier.ts';
import type { IncidentEvent } from '../../shared/incident.ts';
import type { Series } from '../../shared/series.ts';
import type { Delivery } from '../../shared/store/deliveries.ts';

type Line = { readonly kind: 'event'; readonly event: IncidentEvent } | { readonly kind: 'delivery'; readonly delivery: Delivery };

export interface IncidentLog extends NotifierPorts {
  append(...events: readonly IncidentEvent[]): void;
  deliveries(): Delivery[];
}

const rank = ({ state, at }: Delivery): [number, number, number] => [Number(state === 'sent'), at, Number(state !== 'intent')];
const isNewer = (a: Delivery, b: Delivery): boolean => {
  const [left, right] = [rank(a), rank(b)];
  const differing = left.findIndex((value, index) => value !== right[index]);
  return differing === -1 || left[differing]! > right[differing]!;
};

function foldDeliveries(lines: readonly Line[]): Delivery[] {
  const newest = new Map<string, Delivery>();
  const externals = new Map<string, Delivery>();
  const attempts = new Map<string, number>();
  for (const line of lines) {
    if (line.kind !== 'delivery') continue;
    const { delivery } = line;
    const key = JSON.stringify([delivery.incident, delivery.event, delivery.channel]);
    const before = newest.get(key);
    if (before === undefined || isNewer(delivery, before)) newest.set(key, delivery);
    const known = externals.get(key);
    if (Object.keys(delivery.external).length > 0 && (known === undefined || isNewer(delivery, known))) externals.set(key, delivery);
    attempts.set(key, Math.max(attempts.get(key) ?? 0, delivery.attempt));
  }
  return [...newest].map(([key, delivery]) => ({
    ...delivery,
    external: externals.get(key)?.external ?? {},
    attempt: attempts.get(key) ?? 0,
  }));
}

export function openIncidentLog(path: string, series: readonly Series[] = []): IncidentLog {
  const lines = (): Line[] =>
    existsSync(path)
      ? readFileSync(path, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as Line)
      : [];
  const write = (line: Line) => appendFileSync(path, `${JSON.stringify(line)}\n`);
  const events = () => lines().flatMap((line) => (line.kind === 'event' ? [line.event] : []));
  return {
    append: (...added) => added.forEach((event) => write({ kind: 'event', event })),
    deliveries: () => foldDeliveries(lines()),
    readIncidentEvents: ({ incident }) =>
      Promise.resolve(events().filter((event) => incident === undefined || event.incident === incident)),
    readDeliveries: ({ incident }) =>
      Promise.resolve(foldDeliveries(lines()).filter((delivery) => incident === undefined || delivery.incident === incident)),
    recordDelivery: (delivery) => Promise.resolve(write({ kind: 'delivery', delivery })),
    readCurves: () => Promise.resolve([...series]),
  };
}
