/** Picks named variables out of /proc/PID/environ. Nothing else of it becomes text: an environment is full of secrets. */
import { readBytes } from './proc-file.ts';

/** Every variable the agent ever looks for, beside those the configuration allows. */
export const READ_VARIABLES = [
  'LEAKLINE_SERVICE',
  'LEAKLINE_ENVIRONMENT',
  'LEAKLINE_VERSION',
  'LEAKLINE_INSTANCE',
  'OTEL_SERVICE_NAME',
  'OTEL_RESOURCE_ATTRIBUTES',
  'POD_NAME',
  'POD_NAMESPACE',
  'POD_UID',
  'NODE_NAME',
  'HOSTNAME',
  'PORT',
] as const;

const MAX_ENVIRON_BYTES = 1 << 20;

/** Values of `names` in an environ block (`NAME=value` entries ended by NUL). The first of equal names counts, as getenv has it. */
export function pickVariables(block: Buffer, names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of names) {
    const needle = Buffer.from(`${name}=`);
    for (let at = block.indexOf(needle); at >= 0; at = block.indexOf(needle, at + 1)) {
      if (at > 0 && block[at - 1] !== 0) continue;
      const end = block.indexOf(0, at);
      found.set(name, block.toString('utf8', at + needle.length, end < 0 ? block.length : end));
      break;
    }
  }
  return found;
}

/** undefined when the environment may not be read: another user's process without CAP_SYS_PTRACE. */
export function readVariables(procRoot: string, pid: number, names: readonly string[]): Map<string, string> | undefined {
  const block = readBytes(`${procRoot}/${String(pid)}/environ`, MAX_ENVIRON_BYTES);
  return block === undefined ? undefined : pickVariables(block, names);
}

/** `key=value,key=value` with percent-encoded values (OpenTelemetry resource SDK); what does not parse is left out. */
export function parseResourceAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const pair of text.split(',')) {
    const equals = pair.indexOf('=');
    if (equals <= 0) continue;
    const key = pair.slice(0, equals).trim();
    const value = pair.slice(equals + 1).trim();
    try {
      attributes.set(key, decodeURIComponent(value));
    } catch {
      attributes.set(key, value);
    }
  }
  return attributes;
}
