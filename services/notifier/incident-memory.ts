/** The incidents that may still have to be spoken of, and what was said of them. Reads only what is new at each pass. */
import { foldEvents, type Incident, type IncidentEvent } from '../../shared/incident.ts';
import type { Delivery, DeliveryFilter } from '../../shared/store/deliveries.ts';
import type { IncidentEventFilter } from '../../shared/store/incidents.ts';

export interface MemoryPorts {
  readonly readIncidentEvents: (filter: IncidentEventFilter) => Promise<IncidentEvent[]>;
  readonly readDeliveries: (filter: DeliveryFilter) => Promise<Delivery[]>;
}

export interface KnownIncident {
  readonly incident: Incident;
  readonly events: ReadonlyMap<string, IncidentEvent>;
  readonly deliveries: readonly Delivery[];
}

export interface IncidentMemory {
  refresh(at: number): Promise<void>;
  all(): KnownIncident[];
  /** Reads its deliveries anew: another notifier may have been faster. */
  reread(incident: string): Promise<KnownIncident | undefined>;
}

/** Events are stored a little later than they are read here, and clocks differ: ask again from so much earlier. */
const OVERLAP_MS = 10 * 60_000;
/** An incident that has been over for so long is done with. */
const FORGET_MS = 8 * 86_400_000;

export function createIncidentMemory(ports: MemoryPorts): IncidentMemory {
  const events = new Map<string, Map<string, IncidentEvent>>();
  const deliveries = new Map<string, readonly Delivery[]>();
  const incidents = new Map<string, Incident>();
  let readUntil: number | undefined;

  const add = (incident: string, found: readonly IncidentEvent[]) => {
    const own = events.get(incident) ?? new Map<string, IncidentEvent>();
    for (const event of found) own.set(event.id, event);
    events.set(incident, own);
  };

  const fold = (id: string, at: number) => {
    const incident = foldEvents(events.get(id)?.values() ?? []).get(id);
    const isOver = incident?.state === 'resolved' || incident?.state === 'dismissed';
    if (incident === undefined || (isOver && at - incident.updatedAt > FORGET_MS)) {
      for (const map of [events, deliveries, incidents]) map.delete(id);
    } else incidents.set(id, incident);
  };

  const known = (id: string): KnownIncident | undefined => {
    const incident = incidents.get(id);
    return incident === undefined ? undefined : { incident, events: events.get(id) ?? new Map(), deliveries: deliveries.get(id) ?? [] };
  };

  const readAll = async (id: string) => {
    add(id, await ports.readIncidentEvents({ incident: id }));
    deliveries.set(id, await ports.readDeliveries({ incident: id }));
  };

  return {
    async refresh(at) {
      const found = await ports.readIncidentEvents(readUntil === undefined ? {} : { since: readUntil - OVERLAP_MS });
      const touched = new Set<string>();
      for (const event of found) if (events.get(event.incident)?.has(event.id) !== true) touched.add(event.incident);
      if (readUntil === undefined) {
        for (const event of found) add(event.incident, [event]);
        for (const delivery of await ports.readDeliveries({}))
          if (events.has(delivery.incident)) deliveries.set(delivery.incident, [...(deliveries.get(delivery.incident) ?? []), delivery]);
      } else {
        for (const id of touched) {
          if (events.has(id)) {
            add(
              id,
              found.filter(({ incident }) => incident === id),
            );
          } else await readAll(id);
        }
      }
      for (const id of touched) fold(id, at);
      readUntil = at;
    },
    all: () => [...incidents.keys()].map((id) => known(id)).filter((one) => one !== undefined),
    async reread(id) {
      deliveries.set(id, await ports.readDeliveries({ incident: id }));
      return known(id);
    },
  };
}
