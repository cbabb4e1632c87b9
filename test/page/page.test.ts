/** The page in real Chromium over a real console and store. Every test also fails when the browser has anything to complain about. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../shared/clock.ts';
import { foldEvents } from '../../shared/incident.ts';
import { readIncidentEvents } from '../../shared/store/incidents.ts';
import { launchChromium, watchComplaints } from './chromium.ts';
import { seedFleet, type DemoFleet } from './demo-fleet.ts';
import { DEMO_SERVICES, type DemoService } from './demo-services.ts';
import { buildPage, createTestConsole, type TestConsole } from './running-console.ts';

const OPERATOR = 'operator-token-0123456789';
const READER = 'reader-token-0123456789';
const ATTACK = `<img src=x onerror="window.attacked=1">"'</script><script>window.attacked=1</script>`;

let assetsDir: string;
let open: TestConsole;
let guarded: TestConsole;
let demo: DemoFleet;
let base: string;
let guardedBase: string;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

/** A service whose every text tries to become markup. */
const attacker: DemoService = {
  ...DEMO_SERVICES[0]!,
  name: ATTACK,
  version: `<b onmouseover=alert(1)>${ATTACK}`,
  environment: 'javascript:alert(1)//../..',
  podHash: '<svg onload=alert(1)>',
  says: { ...DEMO_SERVICES[0]!.says, verdict: 'growing', explanation: ATTACK, reason: ATTACK },
};

beforeAll(async () => {
  assetsDir = await mkdtemp(join(tmpdir(), 'leakline-page-'));
  [browser, open] = await Promise.all([launchChromium(), createTestConsole({ assetsDir }), buildPage(assetsDir)]);
  demo = await seedFleet(open.store, systemClock.now(), 3, [...DEMO_SERVICES, attacker]);
  guarded = await createTestConsole({ assetsDir, store: open.store, operatorTokens: [`mira=${OPERATOR}`], readerTokens: [READER] });
  base = await open.server.listen('127.0.0.1:0');
  guardedBase = await guarded.server.listen('127.0.0.1:0');
}, 180_000);

afterAll(async () => {
  await browser.close();
  await guarded.close();
  await open.close();
  await rm(assetsDir, { recursive: true, force: true });
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  page = await context.newPage();
  complaints = watchComplaints(page);
});

afterEach(async () => {
  await context.close();
  expect(complaints).toEqual([]);
});

const row = (service: string) => page.locator('.fleet-row', { has: page.getByRole('link', { name: service, exact: true }) }).first();

describe('the fleet', () => {
  it('lists every service, leaks first, verdicts in words', async () => {
    await page.goto(base);
    await row('checkout').waitFor();
    expect(await page.locator('.fleet-row').count()).toBe(DEMO_SERVICES.length + 1);
    expect(await page.locator('.fleet-row .badge').first().textContent()).toBe('Leak');
    expect(await row('checkout').textContent()).toMatch(/MB\/h/);
    expect(await row('payments').textContent()).toContain('Steady');
    expect(await page.getByRole('region', { name: 'Open incidents' }).textContent()).toContain('checkout');
  });

  it('filters by words and by verdict', async () => {
    await page.goto(base);
    await page.getByRole('searchbox').fill('jvm prod');
    await expect.poll(() => page.locator('.fleet-row').count()).toBe(2);
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: /^Leak/ }).click();
    await expect.poll(() => page.locator('.fleet-row').count()).toBe(2);
    await page.getByRole('searchbox').fill('nothing like this');
    await page.getByRole('button', { name: 'Show all' }).click();
    await expect.poll(() => page.locator('.fleet-row').count()).toBe(DEMO_SERVICES.length + 1);
  });

  it('is usable at the width of a phone', async () => {
    await page.setViewportSize({ width: 375, height: 700 });
    await page.goto(base);
    await row('checkout').waitFor();
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
    await row('checkout').getByRole('link').click();
    await page.locator('.u-over').waitFor();
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
  });

  it('can be walked by keyboard', async () => {
    await page.goto(base);
    await row('checkout').waitFor();
    await row('checkout').getByRole('link').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: /checkout/ }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/services/production/checkout');
    await page.goBack();
    await row('checkout').waitFor();
  });
});

describe('when there is nothing to show', () => {
  it('an empty fleet tells how to start an agent', async () => {
    await page.route('**/api/v1/services', (route) => route.fulfill({ json: { at: 1, services: [] } }));
    await page.goto(base);
    expect(await page.locator('.empty').textContent()).toContain(`npx leakline agent --to ${base}`);
  });

  it('a store that is away is named, and trying again helps', async () => {
    const away = { status: 503, json: { error: { code: 'LKL_ERR_STORE_UNAVAILABLE', message: 'the store does not answer' } } };
    await page.route('**/api/v1/services', (route) => route.fulfill(away), { times: 1 });
    await page.goto(base);
    expect(await page.getByRole('alert').textContent()).toContain('the store does not answer');
    await page.getByRole('button', { name: 'Try again' }).click();
    await row('checkout').waitFor();
    complaints = complaints.filter((complaint) => !complaint.includes('503'));
  });

  it('keeps the last answer on the screen and says that it is old', async () => {
    await page.goto(base);
    await row('checkout').waitFor();
    await page.route('**/api/v1/services', (route) => route.fulfill({ status: 503, json: {} }));
    await page.evaluate("window.dispatchEvent(new Event('leakline:changed'))");
    await page.getByText('Not up to date').waitFor();
    expect(await row('checkout').isVisible()).toBe(true);
    complaints = complaints.filter((complaint) => !complaint.includes('503'));
  });
});

describe('a service', () => {
  it('shows verdict, curves, instances and processes, and other signals and ranges', async () => {
    await page.goto(`${base}/services/production/checkout`);
    await page.locator('.u-over').waitFor();
    expect(await page.locator('.lead').textContent()).toMatch(/^Keeps growing/);
    expect(await page.locator('.legend').textContent()).toMatch(/checkout-.*fit.*if it goes on.*limit 512/);
    expect(await page.getByRole('heading', { name: /Processes/ }).textContent()).toContain('3 lifetimes');
    const asked = page.waitForResponse((response) => response.url().includes('signal=heap_live'));
    await page.getByRole('button', { name: 'Heap after GC' }).click();
    expect((await asked).status()).toBe(200);
    const ranged = page.waitForResponse((response) => response.url().includes('/curves'));
    await page.getByRole('button', { name: '1 h', exact: true }).click();
    expect((await ranged).status()).toBe(200);
  });

  it('says what there is not instead of an empty page', async () => {
    await page.goto(`${base}/services/production/nobody`);
    expect(await page.getByRole('alert').textContent()).toContain('no samples of service "nobody"');
    complaints = complaints.filter((complaint) => !complaint.includes('404'));
  });
});

describe('an incident', () => {
  const stateOf = async (service: string) => foldEvents(await readIncidentEvents(open.store)).get(demo.incidents[service] ?? '')?.state;

  it('a link asks before it acts; cancelling changes nothing', async () => {
    await page.goto(`${base}/incidents/${demo.incidents['checkout'] ?? ''}?action=dismiss`);
    await page.getByRole('dialog').waitFor();
    expect(await stateOf('checkout')).toBe('open');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(page.url()).not.toContain('action=');
    expect(await stateOf('checkout')).toBe('open');
  });

  it('is acknowledged with a note, and the head counts one less', async () => {
    await page.goto(`${base}/incidents/${demo.incidents['checkout'] ?? ''}`);
    await page.locator('.count').waitFor();
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByLabel('Note for the others').fill('rolling back');
    await page.getByRole('dialog').getByRole('button', { name: 'Acknowledge' }).click();
    await page.locator('h1 .badge.acknowledged').waitFor();
    expect(await page.locator('.timeline').textContent()).toContain('rolling back');
    expect(await stateOf('checkout')).toBe('acknowledged');
    await page.locator('.count').waitFor({ state: 'detached', timeout: 20_000 });
  });
});

describe('SQL', () => {
  it('runs on Ctrl-Enter, shows a table, and gives it as a file', async () => {
    await page.goto(`${base}/sql`);
    await page.getByLabel('Query').fill('SELECT number AS n, toString(number) AS text FROM numbers(3)');
    await page.keyboard.press('Control+Enter');
    await page.locator('.result tbody tr').nth(2).waitFor();
    expect(await page.locator('.result thead').textContent()).toBe('ntext');
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download CSV' }).click()]);
    expect(await readFile(await download.path(), 'utf8')).toBe('"n","text"\n0,"0"\n1,"1"\n2,"2"\n');
  });

  it('shows why a statement was refused', async () => {
    await page.goto(`${base}/sql?query=${encodeURIComponent('DROP TABLE raw_samples')}`);
    await page.getByRole('button', { name: 'Run' }).click();
    expect(await page.getByRole('alert').textContent()).toContain('not allowed');
    complaints = complaints.filter((complaint) => !complaint.includes('400'));
  });

  it('says that an answer was cut, and nothing of the kind where it was not', async () => {
    await page.goto(`${base}/sql`);
    for (const [rows, said] of [
      [100_001, 'Cut at 100,000 rows, there may be more'],
      [3, '3 rows in'],
    ] as const) {
      await page.getByLabel('Query').fill(`SELECT number AS n FROM numbers(${rows})`);
      await page.keyboard.press('Control+Enter');
      await expect.poll(() => page.locator('.result-head').textContent()).toContain(said);
    }
    expect(await page.locator('.result-head').textContent()).not.toContain('Cut');
  });

  it('shows a text format as text', async () => {
    await page.goto(`${base}/sql`);
    await page.getByLabel('Query').fill('SELECT 7 AS seven FORMAT Vertical');
    await page.keyboard.press('Control+Enter');
    await expect.poll(() => page.locator('.result').textContent()).toContain('seven: 7');
  });
});

describe('names that try to be markup', () => {
  it('stay text in every view', async () => {
    await page.goto(base);
    await row(ATTACK).waitFor();
    await row(ATTACK).getByRole('link').click();
    await page.locator('.u-over').waitFor();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain(ATTACK);
    await page.getByText('What the detector thought').click();
    await page.locator('.u-over').hover();
    await page.getByRole('link', { name: 'Run it' }).click();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.locator('.result').waitFor();
    await page.goto(`${base}/services/${encodeURIComponent(ATTACK)}/${encodeURIComponent(ATTACK)}`);
    await page.getByRole('alert').waitFor();
    expect(await page.evaluate('window.attacked')).toBeUndefined();
    complaints = complaints.filter((complaint) => !complaint.includes('404'));
  });
});

describe('signing in', () => {
  it('asks for a token, keeps it from scripts, shows readers no buttons, and forgets it', async () => {
    await page.goto(`${guardedBase}/services/production/image-resizer`);
    await page.getByLabel('Token').fill('not-the-token-0123456789');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Token').fill(READER);
    await page.keyboard.press('Enter');
    await page.locator('.u-over').waitFor();
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(await page.getByRole('button', { name: 'Not a leak' }).count()).toBe(0);
    expect(await page.content()).not.toContain(READER);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').waitFor();
    complaints = complaints.filter((complaint) => !complaint.includes('401'));
  });

  it('gives an operator the buttons', async () => {
    await page.goto(`${guardedBase}/services/production/image-resizer`);
    await page.getByLabel('Token').fill(OPERATOR);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Not a leak' }).waitFor();
  });
});
