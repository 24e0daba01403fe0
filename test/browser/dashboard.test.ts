import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
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
import {
  addEvent,
  addMerchants,
  ADMIN,
  createDashboardPlatform,
  createHealthyPlatform,
} from '../kit/dashboard.ts';
import { COMPONENT, MINUTE, NO_PUSHES_ON_REQUEST, type TestPlatform } from '../kit/platform.ts';

/** The dashboard as a person uses it. The broken ones have a file of their own. */

const { appid } = COMPONENT;
const DARK = { colorScheme: 'dark' } as const;

describeInBrowser('the dashboard', () => {
  let browser: Browser;
  let platform: TestPlatform;
  beforeAll(async () => {
    [browser, platform] = await Promise.all([launchBrowser(), createHealthyPlatform()]);
  });
  afterAll(async () => {
    await browser.close();
    await platform.close();
  });

  const visit = (device: BrowserContextOptions = IN_ENGLISH, key: string | undefined = ADMIN.key) =>
    visitDashboard(browser, platform, key, device);

  it('lets nobody in with a wrong key, and says so', async () => {
    const person = await visitDashboard(browser, platform, undefined, IN_ENGLISH);
    const { page } = person;
    expect(new URL(page.url()).pathname).toBe('/login');
    expect(await page.locator(':focus').getAttribute('id')).toBe('key');
    await expectAccessible(page);
    await person.look('dashboard-login-en');
    await page.getByLabel('API key').fill(`${ADMIN.key}x`);
    await page.getByRole('button', { name: 'Log in' }).click();
    expect(await page.getByRole('alert').innerText()).toBe('This API key is not known here.');
    // The browser tells of the answer's status, and of nothing else.
    expect(person.complaints.splice(0)).toEqual([expect.stringMatching(/ status of 401 /)]);
    expectQuiet(person);
    await person.close();
  });

  it.concurrent.each([
    ['en', IN_ENGLISH],
    ['en-dark', { ...IN_ENGLISH, ...DARK }],
    ['zh', ON_A_COMPUTER],
    ['zh-dark', { ...ON_A_COMPUTER, ...DARK }],
    ['zh-phone-dark', { ...ON_A_PHONE, ...DARK }],
    ['en-narrow', { ...IN_ENGLISH, viewport: { width: 320, height: 600 } }],
  ])('is read by everybody: %s', async (name, device) => {
    const person = await visit(device);
    await person.look(`dashboard-healthy-${name}`);
    await expectNoOverflow(person.page);
    await expectAccessible(person.page);
    // At twice the size of letters, too.
    await person.page.evaluate(`document.documentElement.style.fontSize = '200%'`);
    await expectNoOverflow(person.page);
    await person.look(`dashboard-healthy-${name}-large`);
    expectQuiet(person);
    await person.close();
  });

  it.concurrent('fills every panel', async () => {
    const person = await visit();
    const { page } = person;
    const text = (id: string) => page.locator(`[id="${id}"]`).innerText();
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toContain('All is well');
    expect(await text(`ticket-${appid}`)).toMatch(/140 tickets in 24 h · gap of 50 min/);
    for (const kind of ['component_access_token', 'pre_auth_code']) {
      const card = await text(`${kind}-${appid}`);
      expect(card).toMatch(/Age \d+ min/);
      expect(card).toMatch(/Next refresh\s+in \d+/);
      expect(card).toMatch(/\d+ refreshes, .* on average/);
    }
    expect(await text('access_token-wx00000000000000a1')).toContain('of 500000');
    expect(await text('jsapi_ticket-wx00000000000000a2')).toContain('Good');
    expect(await text(`authorizers-${appid}`)).toMatch(/晨光文具\s+Official account/);
    expect(await text(`events-${appid}`)).toMatch(/notify_icpfiling_verify_result.*90210/s);
    expect(await text(`events-${appid}`)).not.toContain('queryauthcode');
    expect(await text('jobs')).toContain('component_access_token');
    expect(await text('replicas')).toContain('answers you');
    // A chart can be read as a table, too.
    const summary = page.locator(`[id="component_access_token-${appid}"] summary`);
    await summary.click();
    expect(await page.getByRole('cell', { name: 'asked for' }).first().innerText()).toBe(
      'asked for',
    );
    await expectAccessible(page);
    expectQuiet(person);
    await person.close();
  });

  it.concurrent('is switched to the other language, and remembers it', async () => {
    const person = await visit();
    const { page } = person;
    await page.goto(`${person.origin}/?component=${appid}&state=authorized`);
    await page.getByRole('link', { name: '中文' }).click();
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toContain('一切正常');
    expect(new URL(page.url()).search).toBe(`?component=${appid}&state=authorized`);
    await page.goto(`${person.origin}/`);
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN');
    await page.getByRole('link', { name: 'English' }).click();
    expect(await page.locator('html').getAttribute('lang')).toBe('en');
    await person.close();
  });

  it.concurrent('searches and filters the authorizers', async () => {
    const person = await visit();
    const { page } = person;
    await page.getByLabel('Name or appid').fill('harbour');
    await page.getByRole('button', { name: 'Find' }).click();
    expect(await names(page)).toEqual(['Harbour Books']);
    await page.getByLabel('State').last().selectOption('revoked');
    await page.getByRole('button', { name: 'Find' }).click();
    expect(await page.getByText('No authorizer matches.').count()).toBe(1);
    await page.getByRole('link', { name: 'Show all' }).click();
    expect(await names(page)).toHaveLength(4);
    expectQuiet(person);
    await person.close();
  });

  it('acts for an admin after asking once more, with the keyboard alone', async () => {
    const person = await visitDashboard(browser, platform, undefined, IN_ENGLISH);
    const { page } = person;
    await page.locator('#key:focus').waitFor();
    await page.keyboard.type(ADMIN.key);
    await page.keyboard.press('Enter');
    await page.locator('#verdict').waitFor();
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').innerText()).toBe('Skip to the status');
    await tabTo(page, 'Ask for tickets');
    await person.look('dashboard-keyboard');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toMatch(/push tickets\?$/);
    await expectAccessible(page);
    await person.look('dashboard-confirm-en');
    await tabTo(page, 'Ask for tickets');
    await page.keyboard.press('Enter');
    await expectNotice(page, `WeChat was asked to push tickets for ${appid}`);
    await tabTo(page, 'Refresh now');
    await page.keyboard.press('Enter');
    await tabTo(page, 'Refresh now');
    await page.keyboard.press('Enter');
    await expectNotice(page, `component_access_token (${appid}) was refreshed.`);
    await person.look('dashboard-notice-en');
    expectQuiet(person);
    await person.close();
  });

  it('works with scripts off', async () => {
    const person = await visit({ ...IN_ENGLISH, javaScriptEnabled: false });
    const { page } = person;
    expect(await page.locator('.scale').count()).toBeGreaterThan(5);
    await page.getByRole('link', { name: 'Compare now' }).click();
    await page.getByRole('button', { name: 'Compare now' }).click();
    expect(await page.locator('#notice').innerText()).toContain('begins within seconds');
    await page.getByRole('link', { name: 'Refresh', exact: true }).click();
    expect(await page.locator('#notice').count()).toBe(0);
    await page.getByRole('button', { name: 'Log out' }).click();
    expect(new URL(page.url()).pathname).toBe('/login');
    expectQuiet(person);
    await person.close();
  });

  it('refreshes itself and loses neither focus, nor place, nor what was opened or typed', async () => {
    const person = await visit();
    const { page } = person;
    await page.locator(`[id="component_access_token-${appid}"] summary`).click();
    await page.getByLabel('Name or appid').fill('half a na');
    await page.evaluate('scrollTo(0, 700)');
    const place = async () => (await page.getByLabel('Name or appid').boundingBox())?.y;
    await page.locator('select[name="state"]').selectOption('revoked');
    await page.getByLabel('Name or appid').focus();
    // Elements stay the same ones, wherever something has come in before them.
    await page.evaluate(
      `for (const one of document.querySelectorAll('main [id]')) one.seen = true`,
    );
    const before = await place();
    const updated = await page.locator('#updated').innerText();
    await addMerchants(platform, ['a', 'b', 'c', 'd', 'One who came later']);
    await platform.pass(61_000);
    await lookAgain(page);
    await page.getByText('One who came later').waitFor();
    expect(await page.locator('#updated').innerText()).not.toBe(updated);
    expect(await page.locator(':focus').inputValue()).toBe('half a na');
    expect(await page.locator('details[open]').count()).toBe(1);
    expect(await page.locator('select[name="state"]').inputValue()).toBe('revoked');
    const others = `[...document.querySelectorAll('main [id]')].filter((one) => !one.seen).map(({ id }) => id)`;
    expect(await page.evaluate(others)).toEqual([]);
    expect(await place()).toBe(before);
    expectQuiet(person);
    // While a result of a search is looked at, it stays.
    await page.goto(`${person.origin}/?component=${appid}&search=came`);
    await addMerchants(platform, ['a', 'b', 'c', 'd', 'One who came', 'Another one who came']);
    await lookAgain(page);
    await page.waitForTimeout(300);
    expect(await names(page)).toEqual(['One who came later']);
    await person.close();
  });

  it('says when it can no longer refresh itself', async () => {
    const person = await visit();
    const { page } = person;
    await page.route('**/*', (route) => route.abort());
    await lookAgain(page);
    await page.getByText(/^Not updated since/).waitFor();
    await person.look('dashboard-stale-en');
    await page.unroute('**/*');
    await lookAgain(page);
    await page.getByText(/^Not updated since/).waitFor({ state: 'hidden' });
    await person.close();
  });

  it('shows what others have written as text, whatever it is', async () => {
    await writeVectors(platform);
    const narrow = await visit({ ...IN_ENGLISH, viewport: { width: 320, height: 600 } });
    await expectNoOverflow(narrow.page);
    await narrow.look('dashboard-vectors-narrow');
    await narrow.close();
    const person = await visit();
    const { page } = person;
    await page.goto(
      `${person.origin}/?component=${appid}&search=${encodeURIComponent(VECTORS[0])}`,
    );
    for (const vector of VECTORS) {
      expect((await page.locator('main').innerText()).split(vector).length).toBeGreaterThan(3);
    }
    expect(await page.getByLabel('Name or appid').inputValue()).toBe(VECTORS[0]);
    await lookAgain(page);
    expect(
      await page.locator('main img, main iframe, main a[href^=javascript], main script').count(),
    ).toBe(0);
    expect(await page.evaluate('window.pwned')).toBeUndefined();
    await person.look('dashboard-vectors-en');
    expectQuiet(person);
    await person.close();
  });
});

const VECTORS = [
  `"><img src=x onerror=pwned=1>`,
  `</script><script>pwned=1</script>`,
  `'-pwned=1-'{{7*7}}`,
  `<svg/onload=pwned=1>`,
] as const;

/** In every place that somebody else fills. */
async function writeVectors(platform: TestPlatform): Promise<void> {
  const { redis, keys, clock } = platform;
  const id = { kind: 'component_access_token', subject: appid } as const;
  const all = VECTORS.join(' ');
  await addMerchants(platform, ['x'], { nickName: all, principalName: all.slice(0, 60) });
  await addEvent(platform, '*', all, { AuthorizerAppid: all, Reason: all });
  await addEvent(platform, '*', 'x', { [VECTORS[0]]: VECTORS[0] });
  const error = { class: 'retry', message: all, advice: all, errcode: 1, rid: all };
  await redis.hset(keys.record(id), {
    failures: 1,
    last_error: JSON.stringify(error),
    last_error_at: clock.now(),
    refused_at: clock.now(),
    refused_by: all,
  });
  const run = { startedAt: clock.now(), tookMs: 1, trigger: 'cron', replica: all, ok: false };
  await redis.hset(keys.jobs, id.kind, JSON.stringify({ ...run, summary: all }));
  const times = { startedAt: clock.now(), seenAt: clock.now() };
  await redis.hset(keys.replicas, all, JSON.stringify({ host: all, version: all, ...times }));
}

function names(page: Page): Promise<string[]> {
  return page.locator('.authorizers .name').allInnerTexts();
}

/** As when the person comes back to the tab: at once, not in 15 seconds. */
async function lookAgain(page: Page): Promise<void> {
  const answered = page.waitForEvent('requestfinished').catch(() => undefined);
  const failed = page.waitForEvent('requestfailed').catch(() => undefined);
  await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  await Promise.race([answered, failed]);
}

async function tabTo(page: Page, text: string): Promise<void> {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const focused = page.locator(':focus');
    if ((await focused.count()) === 1 && (await focused.innerText()).startsWith(text)) return;
  }
  expect.fail(`"${text}" is not reached by Tab`);
}

async function expectNotice(page: Page, text: string): Promise<void> {
  await page.locator('#notice').waitFor();
  expect(await page.locator('#notice').innerText()).toContain(text);
}

/** A service that was set up half an hour ago. */
async function createYoungPlatform(): Promise<TestPlatform> {
  const platform = await createDashboardPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  await platform.simulator.pushTicket();
  await platform.settle();
  for (let count = 0; count < 3; count += 1) {
    await platform.pass(10 * MINUTE);
    await platform.simulator.pushTicket();
    await platform.settle();
  }
  return platform;
}

describeInBrowser('the dashboard of a young installation', () => {
  let browser: Browser;
  let platform: TestPlatform;
  beforeAll(async () => {
    [browser, platform] = await Promise.all([launchBrowser(), createYoungPlatform()]);
  });
  afterAll(async () => {
    await browser.close();
    await platform.close();
  });

  it.each([
    ['en', IN_ENGLISH, 'Arrivals so far', ['30 min ago', '20 min ago', '10 min ago', 'now']],
    [
      ...(['zh-phone-dark', { ...ON_A_PHONE, ...DARK }, '至今的推送'] as const),
      ['30 分钟前', '20 分钟前', '10 分钟前', '现在'],
    ],
  ] as const)('spans what there is: %s', async (name, device, title, labels) => {
    const person = await visitDashboard(browser, platform, ADMIN.key, device);
    const { page } = person;
    await person.look(`dashboard-young-${name}`);
    const ticket = page.locator(`[id="ticket-${appid}"]`);
    expect(await ticket.locator('figcaption').textContent()).toBe(title);
    expect(await ticket.locator('.scale span').allTextContents()).toEqual(labels);
    // The first ticket stands at the left edge, the last one at the right.
    const ticks = (await ticket.locator('.tick').getAttribute('d')) ?? '';
    const places = [...ticks.matchAll(/M([\d.]+)/g)].map(([, x]) => Number(x));
    expect(Math.min(...places)).toBeLessThan(100);
    expect(Math.max(...places)).toBeGreaterThan(1340);
    // The code has been made anew once, the token never yet.
    const code = page.locator(`[id="pre_auth_code-${appid}"]`);
    expect(await code.locator('svg.chart').count()).toBe(1);
    expect(await code.locator('.charts .scale span').allTextContents()).toEqual(labels);
    const token = page.locator(`[id="component_access_token-${appid}"]`);
    expect(await token.locator('svg.chart').count()).toBe(0);
    expect(await token.innerText()).toMatch(/No refresh so far\.|至今没有刷新过。/);
    await expectNoOverflow(page);
    await expectAccessible(page);
    await page.evaluate(`document.documentElement.style.fontSize = '200%'`);
    await expectNoOverflow(page);
    await person.look(`dashboard-young-${name}-large`);
    expectQuiet(person);
    await person.close();
  });
});
