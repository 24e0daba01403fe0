import { expect, it } from 'vitest';
import { createLink } from '../../src/authorizers/link.ts';
import { describeInBrowser, expectQuiet, IN_ENGLISH, type Visitor } from '../kit/browser.ts';
import {
  confirm,
  expectTokenServed,
  heading,
  preAuthCodeOf,
  setUpMerchants,
} from '../kit/merchants.ts';
import { COMPONENT, HOUR } from '../kit/platform.ts';

/**
 * What a merchant sees, and can do next, when something is not as it should be. Side by side, as one
 * of them waits most of the time.
 */

describeInBrowser('a merchant who', () => {
  const { platform, platformOfItsOwn, shop, visitor } = setUpMerchants();

  /** The browser says itself that an answer had this status; that is the only thing it may say. */
  function expectRefused(merchant: Visitor, status: number): void {
    expect(merchant.complaints.splice(0)).toEqual([
      expect.stringContaining(`responded with a status of ${status}`),
    ]);
    expectQuiet(merchant);
  }

  it.concurrent(
    'pastes the address of WeChat’s page is refused there, and gets on from our page',
    async () => {
      const account = 'wxb00000000000f001';
      const link = await platform().makeLink({ biz_appid: account });
      const merchant = await visitor();
      const { page } = merchant;
      await page.goto(link);
      const address = await page.locator('a.primary').getAttribute('href');
      const other = await visitor();
      await other.page.goto(address ?? '');
      expect(await heading(other.page)).toContain('无法授权');
      expect(await other.page.getByText('No Referer').count()).toBe(1);
      await other.look('wechat-refuses');
      expectRefused(other, 400);
      // The refusal has not used the code up.
      await page.locator('a.primary').click();
      await confirm(page, account);
      await page.waitForURL('**/done?*');
      expect(await heading(page)).toBe('授权成功');
      expectQuiet(merchant);
    },
  );

  it.concurrent('goes back after authorizing finds a page with a new code', async () => {
    const account = 'wxb00000000000f002';
    const merchant = await visitor();
    const { page } = merchant;
    await page.goto(await platform().makeLink({ biz_appid: account }));
    const code = await preAuthCodeOf(page);
    const address = await page.locator('a.primary').getAttribute('href');
    await page.locator('a.primary').click();
    await confirm(page, account);
    await page.waitForURL('**/done?*');
    expect(platform().simulator.isLive('pre_auth_code', code)).toBe(false);
    await page.evaluate('history.go(-2)');
    await page.waitForURL(`${platform().origins.platform}/authorize/${COMPONENT.appid}?*`);
    expect(await preAuthCodeOf(page)).not.toBe(code);
    // The old address, from a page that was not loaded again.
    await page.evaluate(`document.querySelector('a.primary').href = ${JSON.stringify(address)}`);
    await page.locator('a.primary').click();
    await page.waitForURL('**/componentloginpage?*');
    expect(await page.getByText('was used before').count()).toBe(1);
    expectRefused(merchant, 400);
    await page.goBack();
    await page.locator('a.primary').click();
    await confirm(page, account);
    await page.waitForURL('**/done?*');
    expect(await heading(page)).toBe('授权成功');
    await expectTokenServed(platform(), account);
    expectQuiet(merchant);
  });

  it.concurrent.each([
    ['zh', undefined, '链接已过期'],
    ['en', IN_ENGLISH, 'This link has expired'],
  ])('comes too late is told so (%s)', async (language, device, title) => {
    const { appid, secret } = COMPONENT;
    const parts = { bizAppid: undefined, returnUrl: undefined, state: undefined };
    const late = { ...parts, component: appid, authType: 3, categoryIds: [], language: undefined };
    const token = createLink(secret, late, Date.now() - HOUR);
    const merchant = await visitor(device);
    await merchant.page.goto(`${platform().origins.platform}/authorize/${appid}?link=${token}`);
    expect(await heading(merchant.page)).toBe(title);
    await merchant.look(`expired-${language}`);
    expectRefused(merchant, 410);
  });

  it.concurrent('opens half a link is told so', async () => {
    const link = await platform().makeLink();
    const merchant = await visitor();
    await merchant.page.goto(link.slice(0, -9));
    expect(await heading(merchant.page)).toBe('链接无效');
    await merchant.look('invalid-zh');
    expectRefused(merchant, 403);
  });

  it.concurrent('declines may start again, or go back to the website', async () => {
    const account = 'wxb00000000000f003';
    const wanted = { biz_appid: account, return_url: shop().url, state: 's1', lang: 'en' };
    const link = new URL(await platform().makeLink(wanted));
    const merchant = await visitor();
    const { page } = merchant;
    await page.goto(`${link.origin}${link.pathname}/done${link.search}`);
    expect(await heading(page)).toBe('Nothing was authorized');
    await merchant.look('cancelled-en');
    await page.getByRole('link', { name: 'Start again' }).click();
    expect(await heading(page)).toBe('Authorize your WeChat account');
    await page.goBack();
    await page.getByRole('link', { name: 'Back to the website' }).click();
    await page.waitForURL(`${shop().url}?*`);
    expect(shop().visits.at(-1)?.searchParams.get('result')).toBe('cancelled');
    expectQuiet(merchant);
  });

  it.concurrent('is refused by WeChat for a fault of ours is told whom to ask', async () => {
    const account = 'wxb00000000000f004';
    const { simulator, makeLink } = await platformOfItsOwn();
    const fault = { type: 'errcode', errcode: 61004 } as const;
    simulator.addFault({ api: 'api_query_auth', times: 'forever', fault });
    const merchant = await visitor();
    const { page } = merchant;
    await page.goto(await makeLink({ biz_appid: account, return_url: shop().url }));
    await page.locator('a.primary').click();
    await confirm(page, account);
    await page.waitForURL('**/done?*');
    expect(await heading(page)).toBe('授权暂未完成');
    expect(await page.getByText('61004').count()).toBe(1);
    await merchant.look('failed-zh');
    expectQuiet(merchant);
  });

  it.concurrent(
    'comes while WeChat is slow is kept waiting by a page that looks again by itself',
    async () => {
      const account = 'wxb00000000000f005';
      const own = await platformOfItsOwn();
      const { simulator, makeLink } = own;
      const fault = { type: 'delay', ms: 6_500 } as const;
      simulator.addFault({ api: 'api_query_auth', times: 1, fault });
      const merchant = await visitor();
      const { page } = merchant;
      await page.goto(await makeLink({ biz_appid: account }));
      await page.locator('a.primary').click();
      await confirm(page, account);
      await page.getByRole('heading', { name: '已收到您的授权' }).waitFor();
      await merchant.look('pending-zh');
      await page.getByRole('heading', { name: '授权成功' }).waitFor();
      await expectTokenServed(own, account);
      expectQuiet(merchant);
    },
  );
});
