/** What `leakline up` says once it is up: what to open, and what to run next. Pure. */
import { DEFAULT_CONSOLE_URL } from './console-url.ts';

export interface Started {
  readonly url: string;
  readonly data: string;
  /** It started an agent for this machine. */
  readonly isWatching: boolean;
  /** No token is configured: none need be given. */
  readonly isOpen: boolean;
}

export function welcome({ url, data, isWatching, isOpen }: Started): string {
  const at = url === DEFAULT_CONSOLE_URL ? '' : ` --url ${url}`;
  const token = (name: string) => (isOpen ? '' : `${name}=… `);
  return [
    `leakline is up: open ${url}`,
    `data in ${data}; Ctrl-C ends it`,
    '',
    isWatching ? 'watching this machine; the first verdicts take a few minutes' : 'nothing is watched yet',
    'next, in another terminal:',
    ...(isWatching ? [] : [`  ${token('LEAKLINE_AGENT_TOKEN')}npx leakline agent --to ${url}`]),
    `  ${token('LEAKLINE_TOKEN')}npx leakline status${at}`,
    `  ${token('LEAKLINE_TOKEN')}npx leakline sql "SELECT service, verdict, explanation FROM trends WHERE instance = ''"${at}`,
    'other machines: docs/agent.md, "From other machines"',
    '',
  ].join('\n');
}
