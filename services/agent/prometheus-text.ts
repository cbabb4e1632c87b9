/** Reads the Prometheus text format (and OpenMetrics, its superset), as far as memory metrics need it. Pure. */

export interface PromSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([A-Za-z_:][A-Za-z0-9_:]*)[ \t]*(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]*(\S+)/;
const LABEL = /([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"/g;
const ESCAPES: Readonly<Record<string, string>> = { '\\n': '\n', '\\"': '"', '\\\\': '\\' };

/** Samples whose name is wanted; comments, other names, and lines that cannot be read are passed over. */
export function parsePrometheusText(text: string, isWanted: (name: string) => boolean): PromSample[] {
  const samples: PromSample[] = [];
  for (let at = 0; at < text.length;) {
    let end = text.indexOf('\n', at);
    if (end < 0) end = text.length;
    const line = text.slice(at, end);
    at = end + 1;
    if (line === '' || line.startsWith('#') || !isWanted(/^[\w:]*/.exec(line)![0])) continue;
    const match = LINE.exec(line);
    if (match === null) continue;
    const value = parseValue(match[3]!);
    if (value === undefined) continue;
    samples.push({ name: match[1]!, labels: parseLabels(match[2] ?? ''), value });
  }
  return samples;
}

/** Infinities and NaN stand in the format as values; a quantity of memory is none of them. */
function parseValue(text: string): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) && text !== '' ? value : undefined;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(LABEL)) labels[name!] = value!.replace(/\\[n"\\]/g, (escape) => ESCAPES[escape]!);
  return labels;
}
