import { afterEach, expect, it } from 'vitest';
import { exchangesAsked } from '../kit/authorizing.ts';
import {
  describeInBrowser,
  expectQuiet,
  IN_ENGLISH,
  IN_WECHAT,
  ON_A_COMPUTER,
  ON_A_PHONE,
} from '../kit/browser.ts';
import {
  confirm,
  expectTokenServed,
  heading,
  preAuthCodeOf,
  setUpMerchants,
} from '../kit/merchants.ts';
import { COMPONENT } from '../kit/platform.ts';

/** A merchant's whole way, in a real browser: our page, WeChat's page, our page again. */

/** Both are offered by the simulated page itself. */
const OFFICIAL = 'wxb000000000000001';
const MINI = 'wxb000000000000002';

describeInBrowser('a merchant authorizes the platform', () => {
  const { platform, shop, visitor } = setUpMerchants();

  /** All of these ways are ordinary ones. */
  afterEach(() => {
    const alarms = platform().logs.filter(({ level }) => ['warn', 'error'].includes(level));
    expect(alarms).toEqual([]);
  });

  it('on a computer, in Chinese', async () => {
    const { origins, makeLink } = platform();
    const merchant = await visitor();
    const { page } = merchant;
    await page.goto(await makeLink());
    expect(await heading(page)).toBe('授权您的微信账号');
    await merchant.look('start-pc-zh');
    await page.getByRole('link', { name: '在电脑上用微信扫码授权' }).click();
    await page.waitForURL(`${origins.wechatPc}/cgi-bin/componentloginpage?*`);
    await merchant.look('wechat-pc');
    await confirm(page, OFFICIAL);
    await page.waitForURL(`${origins.platform}/authorize/${COMPONENT.appid}/done?*`);
    expect(await heading(page)).toBe('授权成功');
    expect(await page.getByText(OFFICIAL).count()).toBe(1);
    await merchant.look('done-zh');
    await expectTokenServed(platform(), OFFICIAL);
    expectQuiet(merchant);
  });

  it('on a computer, in English', async () => {
    const account = 'wxb00000000000e001';
    const merchant = await visitor(IN_ENGLISH);
    const { page } = merchant;
    await page.goto(await platform().makeLink({ biz_appid: account }));
    expect(await heading(page)).toBe('Authorize your WeChat account');
    expect(await page.getByText(`for the account ${account} only`).count()).toBe(1);
    await merchant.look('start-pc-en');
    await page.getByRole('link', { name: 'Scan with WeChat on a computer' }).click();
    await confirm(page, account);
    await page.waitForURL('**/done?*');
    expect(await heading(page)).toBe('The account is authorized');
    await merchant.look('done-en');
    await expectTokenServed(platform(), account);
    expectQuiet(merchant);
  });

  it('on a phone, inside WeChat', async () => {
    const { origins, makeLink } = platform();
    const merchant = await visitor(IN_WECHAT);
    const { page } = merchant;
    await page.goto(await makeLink({ auth_type: 2 }));
    await merchant.look('start-phone-zh');
    const first = page.locator('a.button').first();
    expect(await first.innerText()).toBe('在手机微信中授权');
    await first.tap();
    await page.waitForURL(`${origins.wechatMobile}/wxaopen/safe/bindcomponent?*`);
    await confirm(page, MINI);
    await page.waitForURL('**/done?*');
    expect(await heading(page)).toBe('授权成功');
    await merchant.look('done-phone-zh');
    await expectTokenServed(platform(), MINI);
    expectQuiet(merchant);
  });

  it.each([
    ['inside WeChat', IN_WECHAT],
    ['outside WeChat', ON_A_PHONE],
    ['at twice the size of letters', { ...IN_WECHAT, viewport: { width: 188, height: 334 } }],
  ])('on a phone nothing has to be moved sideways: %s', async (what, device) => {
    const merchant = await visitor(device);
    const { page } = merchant;
    await page.goto(await platform().makeLink());
    const asked = await page.getByText('当前不在微信中').count();
    expect(asked).toBe(device === ON_A_PHONE ? 1 : 0);
    await merchant.look(`start-phone ${what}`);
    const [width, seen] = await page.evaluate<[number, number]>(
      '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
    );
    expect(width).toBe(seen);
    expectQuiet(merchant);
  });

  it('with the link that somebody else has open, too: each gets a code of their own', async () => {
    const link = await platform().makeLink();
    const merchants = await Promise.all([visitor(), visitor(IN_WECHAT)]);
    const codes = [];
    for (const { page } of merchants) {
      await page.goto(link);
      codes.push(await preAuthCodeOf(page));
    }
    const [merchant] = merchants;
    await merchant.page.getByRole('link', { name: '重新开始' }).click();
    await expect.poll(() => preAuthCodeOf(merchant.page)).not.toBe(codes[0]);
    codes.push(await preAuthCodeOf(merchant.page));
    expect(new Set(codes).size).toBe(3);
    for (const code of codes) {
      expect(platform().simulator.isLive('pre_auth_code', code)).toBe(true);
    }
    merchants.forEach(expectQuiet);
  });

  it('and comes back to the website that sent them', async () => {
    const account = 'wxb00000000000e002';
    const state = 'order=7&"<b>';
    const merchant = await visitor();
    const { page } = merchant;
    const wanted = { biz_appid: account, return_url: `${shop().url}/back?page=2`, state };
    await page.goto(await platform().makeLink(wanted));
    await page.locator('a.primary').click();
    await confirm(page, account);
    await page.waitForURL(`${shop().url}/**`);
    const back = shop().visits.find(({ pathname }) => pathname === '/wechat/back');
    expect(Object.fromEntries(back?.searchParams ?? [])).toEqual({
      page: '2',
      state,
      result: 'authorized',
      component_appid: COMPONENT.appid,
      authorizer_appid: account,
      link_id: expect.any(String) as unknown,
      ts: expect.stringMatching(/^\d{10}$/) as unknown,
      signature: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
    });
    await expectTokenServed(platform(), account);
    expectQuiet(merchant);
  });

  it('with the keyboard alone', async () => {
    const account = 'wxb00000000000e003';
    const merchant = await visitor();
    const { page } = merchant;
    await page.goto(await platform().makeLink({ biz_appid: account }));
    await page.keyboard.press('Tab');
    await merchant.look('start-keyboard');
    expect(await page.locator(':focus').innerText()).toBe('在电脑上用微信扫码授权');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/componentloginpage?*');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/done?*');
    expect(await heading(page)).toBe('授权成功');
    expectQuiet(merchant);
  });

  it('with a browser that runs no scripts, in the dark', async () => {
    const account = 'wxb00000000000e004';
    const dark = { javaScriptEnabled: false, colorScheme: 'dark' } as const;
    const merchant = await visitor({ ...ON_A_COMPUTER, ...dark });
    const { page } = merchant;
    await page.goto(await platform().makeLink({ biz_appid: account }));
    await merchant.look('start-dark');
    await page.locator('a.primary').click();
    await confirm(page, account);
    await page.waitForURL('**/done?*');
    expect(await heading(page)).toBe('授权成功');
    await expectTokenServed(platform(), account);
    expectQuiet(merchant);
  });

  it('and may load the last page again: the code is exchanged once', async () => {
    const account = 'wxb00000000000e005';
    const merchant = await visitor();
    const { page } = merchant;
    const before = exchangesAsked(platform()).length;
    await page.goto(await platform().makeLink({ biz_appid: account }));
    await page.locator('a.primary').click();
    await confirm(page, account);
    await page.waitForURL('**/done?*');
    await page.reload();
    expect(await heading(page)).toBe('授权成功');
    expect(exchangesAsked(platform()).length - before).toBe(1);
    await expectTokenServed(platform(), account);
    expectQuiet(merchant);
  });
});
