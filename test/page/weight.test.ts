/** The page stays light and quick: what a first load transfers, and how long 500 services take to show. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet, ServiceSummary } from '../../services/console/api-schema.ts';
import { systemClock } from '../../shared/clock.ts';
import { launchChromium, watchComplaints } from './chromium.ts';
import { seedFleet } from './demo-fleet.ts';
import { DEMO_SERVICES } from './demo-services.ts';
import { buildPage, createTestConsole, type TestConsole } from './running-console.ts';

const MAX_PAGE_BYTES = 150_000;
const SERVICES = 500;

let assetsDir: string;
let running: TestConsole;
let browser: Browser;
let base: string;

beforeAll(async () => {
  assetsDir = await mkdtemp(join(tmpdir(), 'leakline-page-'));
  [browser, running] = await Promise.all([launchChromium(), createTestConsole({ assetsDir }), buildPage(assetsDir)]);
  await seedFleet(running.store, systemClock.now(), 2, DEMO_SERVICES.slice(2, 5));
  base = await running.server.listen('127.0.0.1:0');
}, 120_000);

afterAll(async () => {
  await browser.close();
  await running.close();
  await rm(assetsDir, { recursive: true, force: true });
});

/** The seeded services, many times over. */
function widen({ at, services }: Fleet): Fleet {
  const copy = (index: number): ServiceSummary => ({
    ...services[index % services.length]!,
    service: `service-${String(index).padStart(3, '0')}`,
  });
  return { at, services: Array.from({ length: SERVICES }, (_, index) => copy(index)) };
}

describe('the page', () => {
  it('weighs less than 150 kB as transferred, its font included', async () => {
    const files = await readdir(assetsDir);
    const sizes = await Promise.all(
      files.map(async (name) => {
        const content = await readFile(join(assetsDir, name));
        return name.endsWith('.woff2') ? content.length : gzipSync(content).length;
      }),
    );
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expect(files).toEqual(expect.arrayContaining(['index.html', 'page.js', 'page.css']));
    expect(total).toBeLessThan(MAX_PAGE_BYTES);
    expect(total).toBeGreaterThan(10_000);
  });

  it('asks the network for nothing but itself', async () => {
    const page = await browser.newPage();
    const complaints = watchComplaints(page);
    const hosts = new Set<string>();
    page.on('request', (request) => hosts.add(new URL(request.url()).origin));
    await page.goto(base);
    await page.locator('.fleet-row').first().waitFor();
    expect([...hosts]).toEqual([base]);

    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows 500 services soon after the answer, and filters them while one types', async () => {
    const page = await browser.newPage();
    const complaints = watchComplaints(page);
    await page.route('**/api/v1/services', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: widen((await response.json()) as Fleet) });
    });
    await page.goto(base);
    await page
      .locator('.fleet-row')
      .nth(SERVICES - 1)
      .waitFor();
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busySeconds = async () => {
      const { metrics } = await session.send('Performance.getMetrics');
      return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? NaN;
    };
    await page.reload();
    await page
      .locator('.fleet-row')
      .nth(SERVICES - 1)
      .waitFor();
    const shown = await busySeconds();
    await page.getByRole('searchbox').fill('service-499');
    await expect.poll(() => page.locator('.fleet-row').count()).toBe(1);
    const filtered = (await busySeconds()) - shown;
    process.stdout.write(`500 services: ${shown.toFixed(2)} s of CPU to load and show, ${filtered.toFixed(2)} s to filter\n`);
    expect(shown).toBeLessThan(2);
    expect(filtered).toBeLessThan(0.7);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
