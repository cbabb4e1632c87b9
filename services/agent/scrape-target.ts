/** What one `agent.scrape` entry means: which page to read, which process it speaks for, and where it may not lead. */
import { isIP } from 'node:net';
import { LeaklineError } from '../../shared/errors.ts';
import { forbiddenAddress } from '../../shared/forbidden-address.ts';

/** The process that listens on a port, or the processes of a service. */
export type ScrapeJoin = { readonly port: number } | { readonly service: string };

export interface ScrapeTarget {
  readonly url: URL;
  readonly join: ScrapeJoin;
}

const RULE = 'must be URL (of a loopback address), PORT=URL or SERVICE=URL';
const ENTRY = /^(?:([^=/:]+)=)?(https?:\/\/.+)$/;

const isLoopback = (hostname: string) => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);

export function parseScrapeEntry(entry: string): ScrapeTarget {
  const [, joinText, urlText] = ENTRY.exec(entry.trim()) ?? [];
  if (urlText === undefined || !URL.canParse(urlText)) throw wrongEntry(entry, RULE);
  const url = new URL(urlText);
  if (url.pathname === '/') url.pathname = '/metrics';
  const address = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) > 0 && forbiddenAddress(address) !== undefined) throw wrongEntry(entry, 'must not be a link-local or metadata address');
  if (joinText === undefined) {
    if (!isLoopback(url.hostname)) throw wrongEntry(entry, `${RULE}: say which local process it speaks for`);
    return { url, join: { port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)) } };
  }
  const port = Number(joinText);
  return { url, join: Number.isInteger(port) && port > 0 && port < 65_536 ? { port } : { service: joinText } };
}

function wrongEntry(entry: string, rule: string): LeaklineError {
  const shown = entry.replace(/\/\/[^@/]*@/, '//[redacted]@');
  return new LeaklineError('LKL_ERR_CONFIG', `agent.scrape: ${shown} ${rule}`, { details: { entry: shown } });
}
