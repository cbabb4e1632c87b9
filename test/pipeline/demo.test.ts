/** The main job as a newcomer runs it: both leaks found and the healthy program judged healthy, within three minutes, then a clean end. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, LeaklineProcess, runLeakline } from '../harness/leakline-process.ts';
import { until } from '../harness/until.ts';

const LIMIT_MS = 180_000;

interface ServiceAnswer {
  readonly services: readonly {
    readonly service: string;
    readonly environment: string;
    readonly judgement: { readonly verdict: string; readonly reason: string; readonly kind: string } | null;
  }[];
}

interface IncidentsAnswer {
  readonly incidents: readonly { readonly service: string; readonly state: string }[];
}

describe('leakline up --demo', () => {
  const folder = mkdtempSync(join(tmpdir(), 'leakline-demo-test-'));
  let url = '';
  let demo: LeaklineProcess;
  let startedAt = 0;

  const ask = async <Answer>(path: string): Promise<Answer> => (await (await fetch(`${url}${path}`)).json()) as Answer;

  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    startedAt = performance.now();
    demo = new LeaklineProcess({
      args: ['up', '--agent', '--demo', '--listen', `127.0.0.1:${port}`],
      cwd: folder,
      env: { TMPDIR: folder },
      healthUrl: `${url}/healthz`,
    });
    await demo.start();
  });

  afterAll(async () => {
    await demo.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds exactly the two leaks within 180 s and calls the healthy program healthy', { timeout: LIMIT_MS + 30_000 }, async () => {
    const { incidents } = await until(
      'two incidents',
      () => ask<IncidentsAnswer>('/api/v1/incidents'),
      (answer) => answer.incidents.length >= 2,
      LIMIT_MS - (performance.now() - startedAt),
    );
    expect(incidents.map(({ service, state }) => `${service} ${state}`).sort()).toEqual(['pages open', 'sessions open']);
    const { services } = await until(
      'the findings on the terminal',
      () => ask<ServiceAnswer>('/api/v1/services'),
      // Any program may be asking itself again at this very second: wait for what it settles on.
      ({ services: all }) => demo.output.includes('still watching') && all.every(({ judgement }) => judgement?.verdict !== 'undecided'),
      LIMIT_MS - (performance.now() - startedAt),
    );
    const verdictOf = (name: string) => services.find(({ service }) => service === name)?.judgement;
    expect(verdictOf('sessions')).toMatchObject({ verdict: 'leak', kind: 'heap' });
    expect(verdictOf('pages')).toMatchObject({ verdict: 'leak' });
    expect(['steady', 'growing']).toContain(verdictOf('catalogue')?.verdict);
    expect(demo.output).toMatch(/2 leaks found/);
    expect(demo.output).toMatch(/healthy: catalogue is (steady|growing) \([\w-]+\)/);
  });

  it('has a pipeline in good health, and a status for somebody to look at', async () => {
    const { code, stdout } = await runLeakline(['status', '--url', url], folder);
    expect(stdout).toMatch(/^healthy: true\n[^]*^problems: none\n[^]*^openIncidents: 2\n/m);
    expect(code).toBe(1);
  });

  it('answers the SQL it names, and refuses to write', async () => {
    const sql = async (query: string) =>
      fetch(`${url}/api/v1/sql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, format: 'TSV' }),
      });
    const answer = await sql("SELECT service FROM trends WHERE instance = '' AND verdict = 'leak' ORDER BY service");
    expect(await answer.text()).toBe('service\npages\nsessions\n');
    expect((await sql('DROP TABLE raw_samples')).status).toBe(400);
  });

  it('stops cleanly: programs, agent and data are gone', async () => {
    await demo.stop();
    const left = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => environOf(pid).includes(folder));
    expect(left).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.startsWith('leakline-demo'))).toEqual([]);
  });
});

function environOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}
