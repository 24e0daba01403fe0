import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import {
  describeInBrowser,
  IN_ENGLISH,
  launchBrowser,
  ON_A_COMPUTER,
  ON_A_PHONE,
} from '../kit/browser.ts';
import { expectNoOverflow, visitDashboard } from '../kit/dashboard-browser.ts';
import { ADMIN, BROKEN, createHealthyPlatform } from '../kit/dashboard.ts';
import type { TestPlatform } from '../kit/platform.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';
import type { ProblemCode } from '../../src/status/problems.ts';
import { titleOf } from '../../src/status/wording.ts';

/** What the person sees who is called at night: the trouble first, in one sentence. */

const DARK_PHONE = { ...ON_A_PHONE, colorScheme: 'dark' } as const;

describeInBrowser('the dashboard of a service in trouble shows first that', () => {
  let browser: Browser;
  const platforms: TestPlatform[] = [];
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await Promise.all(platforms.map((one) => one.close()));
  });

  async function expectSeenFirst(platform: TestPlatform, name: string, problem: ProblemCode) {
    for (const [language, device] of [
      ['en', IN_ENGLISH],
      ['zh', { ...ON_A_COMPUTER, colorScheme: 'dark' }],
      ['zh', DARK_PHONE],
    ] as const) {
      const person = await visitDashboard(browser, platform, ADMIN.key, device);
      const { page } = person;
      const phone = device === DARK_PHONE ? '-phone' : '';
      await person.look(`dashboard-${name}-${language}${phone}`);
      expect(await page.getByRole('heading', { level: 1 }).innerText()).toContain(
        titleOf(problem, language).replace(/[.。]$/, ''),
      );
      // Without moving anything, the first trouble is on the screen, with what to do.
      const first = page.locator('.problem').first();
      expect((await first.locator('.advice').innerText()).length).toBeGreaterThan(20);
      const { y = Infinity } = (await first.boundingBox()) ?? {};
      expect(y).toBeLessThan((page.viewportSize()?.height ?? 0) - 100);
      await expectNoOverflow(page);
      await person.close();
    }
  }

  it.concurrent.each([
    ['ticketExpired', 'ticket_expired'],
    ['wrongSecret', 'secret_refused'],
    ['pushesRefused', 'pushes_refused'],
    ['quotaUsedUp', 'quota_exhausted'],
    ['foreignRefresher', 'foreign_refresher'],
  ] as const)('%s', async (name, problem) => {
    const platform = await createHealthyPlatform();
    platforms.push(platform);
    await BROKEN[name](platform);
    await expectSeenFirst(platform, name, problem);
  });

  it.concurrent('redisDown', async () => {
    const proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
    const platform = await createHealthyPlatform({ redisUrl: proxy.url('redis') });
    platforms.push(platform);
    platform.redis.on('error', () => undefined);
    await proxy.close();
    await expectSeenFirst(platform, 'redisDown', 'store_unavailable');
  });
});
