import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { openVisitor, type Visitor } from './browser.ts';
import type { TestPlatform } from './platform.ts';

/** A person in front of the dashboard, in a real browser. */

export interface DashboardVisitor extends Visitor {
  origin: string;
  close(): Promise<void>;
}

/** Opens the dashboard and logs in; without a key, only opens it. */
export async function visitDashboard(
  browser: Browser,
  platform: TestPlatform,
  key: string | undefined,
  device: BrowserContextOptions,
): Promise<DashboardVisitor> {
  const origin = `http://127.0.0.1:${platform.app.internalPort()}`;
  const visitor = await openVisitor(browser, device);
  const { page } = visitor;
  await page.goto(`${origin}/`);
  if (key !== undefined) {
    await page.locator('#key').fill(key);
    await page.locator('form.card button').click();
    await page.locator('#verdict').waitFor();
  }
  return { ...visitor, origin, close: () => page.context().close() };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** That nobody who sees, hears or types otherwise than most is shut out. */
export async function expectAccessible(page: Page): Promise<void> {
  // Not as a script of the page: its policy allows none but our own.
  await page.evaluate(AXE);
  const found = await page.evaluate<
    { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[]
  >(`axe.run(document).then(({ violations }) => violations)`);
  const serious = found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map((one) => `${one.html} ${one.failureSummary}`)
          .join(' | ')}`,
    );
  expect(serious).toEqual([]);
}

/** That nothing has to be moved sideways to be read. */
export async function expectNoOverflow(page: Page): Promise<void> {
  const [width, seen] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  expect(width).toBe(seen);
}
