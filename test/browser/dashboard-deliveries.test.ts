import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  describeInBrowser,
  expectQuiet,
  IN_ENGLISH,
  launchBrowser,
  ON_A_COMPUTER,
  ON_A_PHONE,
} from '../kit/browser.ts';
import { expectAccessible, expectNoOverflow, visitDashboard } from '../kit/dashboard-browser.ts';
import { ADMIN, createDashboardPlatform } from '../kit/dashboard.ts';
import { jsonRoute, rawRoute, sendMessage, stateOf } from '../kit/delivering.ts';
import { COMPONENT, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { newestEvents } from '../kit/public-listener.ts';
import { startTarget, status, type Target } from '../kit/targets.ts';
import { moveDeliveries } from '../../src/store/deliveries/queue.ts';

/** Delivery routes on the dashboard: one that is well, one that fails, one that was stopped. */

describeInBrowser('deliveries on the dashboard', () => {
  let browser: Browser;
  let platform: TestPlatform;
  let targets: [Target, Target, Target];
  beforeAll(async () => {
    targets = await Promise.all([startTarget(), startTarget(), startTarget()]);
    const [well, failing, gone] = targets;
    failing.answer(status(503));
    gone.answer(status(410));
    const routes = [
      rawRoute(well, { name: 'shop', target: `${well.url}/wechat/$APPID$/callback`, reply: true }),
      jsonRoute(failing, { name: 'assistant' }),
      jsonRoute(gone, { name: 'crm' }),
    ];
    browser = await launchBrowser();
    platform = await createDashboardPlatform({ routes });
    for (let id = 1; id <= 6; id += 1) await sendMessage(platform, { MsgId: id });
    const [{ id = '' } = {}] = await newestEvents(platform);
    for (const where of ['again', 'fresh'] as const) {
      await moveDeliveries(platform.store, COMPONENT.appid, 'assistant', 'give_up', where, [id]);
    }
  });
  afterAll(async () => {
    await browser.close();
    await platform.close();
    await Promise.all(targets.map((one) => one.close()));
  });

  it.each([
    ['en', IN_ENGLISH],
    ['zh', ON_A_COMPUTER],
    ['zh-phone', ON_A_PHONE],
  ])('are read by everybody: %s', async (name, device) => {
    const person = await visitDashboard(browser, platform, ADMIN.key, device);
    await person.look(`dashboard-deliveries-${name}`);
    await expectNoOverflow(person.page);
    await expectAccessible(person.page);
    expectQuiet(person);
    await person.close();
  });

  it('say how each target fares, and lead to what can be done, which is asked once more', async () => {
    const person = await visitDashboard(browser, platform, ADMIN.key, IN_ENGLISH);
    const { page } = person;
    const panel = page.locator(`[id="deliveries-${COMPONENT.appid}"]`);
    const rowOf = (route: string) => panel.locator('tbody tr', { hasText: route });
    expect(await rowOf('shop').innerText()).toContain('Taking them');
    expect(await rowOf('assistant').innerText()).toMatch(/Left alone|Failing/);
    expect(await rowOf('crm').innerText()).toContain('Stopped');
    expect(await rowOf('shop').getByRole('link').count()).toBe(0);

    targets[2].answer(status(200));
    await rowOf('crm')
      .getByRole('link', { name: /Deliver again/ })
      .click();
    await person.look('dashboard-deliveries-confirm');
    await page.getByRole('button', { name: 'Deliver again' }).click();
    expect(await page.locator('#notice').innerText()).toContain('crm');
    await platform.pass(MINUTE);
    expect(await stateOf(platform, 'crm')).toMatchObject({ delivered: 6, fresh: 0, again: 0 });

    await page.reload();
    await rowOf('assistant')
      .getByRole('link', { name: /Throw away/ })
      .click();
    await page.getByRole('button', { name: 'Throw away' }).click();
    expect(await page.locator('#notice').innerText()).toContain('are gone');
    expect(await stateOf(platform, 'assistant')).toMatchObject({ dead: 0 });
    expectQuiet(person);
    await person.close();
  });
});
