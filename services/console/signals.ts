/** The signals a chart can show; apart from the schemas, so that the page does not carry a schema library. */
export const SIGNALS = ['anon', 'rss', 'working_set', 'heap_live', 'heap_used'] as const;

export type Signal = (typeof SIGNALS)[number];
