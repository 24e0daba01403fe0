import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { launchBrowser, ON_A_COMPUTER, openVisitor, type Visitor } from './browser.ts';
import { createLivePlatform, type LivePlatform } from './live-platform.ts';
import { COMPONENT } from './platform.ts';

/** Merchants who authorize the platform, each in a browser window of their own. */

/**
 * One browser, platform and shop for all stories of a suite; to be called in a `describe`. Windows
 * stay open until the end, so that stories may run side by side.
 */
export function setUpMerchants() {
  const here = {} as { browser: Browser; platform: LivePlatform; shop: Shop };
  const others: LivePlatform[] = [];
  const settings = () => ({ COMPONENT_RETURN_URLS: here.shop.url });
  beforeAll(async () => {
    here.shop = await openShop();
    [here.browser, here.platform] = await Promise.all([
      launchBrowser(),
      createLivePlatform(settings()),
    ]);
  });
  afterAll(async () => {
    await here.browser.close();
    await Promise.all([here.platform, ...others].map((one) => one.close()));
    await here.shop.close();
  });
  return {
    platform: () => here.platform,
    shop: () => here.shop,
    visitor: (options: BrowserContextOptions = ON_A_COMPUTER): Promise<Visitor> =>
      openVisitor(here.browser, options),
    /** One whose WeChat can be spoiled without spoiling it for other stories. */
    async platformOfItsOwn(): Promise<LivePlatform> {
      const one = await createLivePlatform(settings());
      others.push(one);
      return one;
    },
  };
}

/** The website that sent the merchant, and that the merchant comes back to. */
export interface Shop {
  url: string;
  visits: URL[];
  close(): Promise<void>;
}

async function openShop(): Promise<Shop> {
  const visits: URL[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://127.0.0.1');
    // Browsers ask for the icon of a page without being told.
    if (url.pathname !== '/favicon.ico') visits.push(url);
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end('<!doctype html><title>Shop</title><h1>Shop</h1>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/wechat`,
    visits,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** On WeChat's page: the administrator confirms for this account. */
export async function confirm(page: Page, account: string): Promise<void> {
  await page.getByRole('button', { name: account }).click();
}

export function heading(page: Page): Promise<string> {
  return page.getByRole('heading', { level: 1 }).innerText();
}

/** The code in the two addresses of a start page: one, and the same. */
export async function preAuthCodeOf(page: Page): Promise<string> {
  const addresses = await page.evaluate<string[]>(
    `[...document.querySelectorAll('a.button')].map((link) => link.href)`,
  );
  const codes = addresses.map((one) => new URL(one).searchParams.get('pre_auth_code') ?? '');
  expect(codes).toHaveLength(2);
  expect(new Set(codes).size).toBe(1);
  return codes[0] ?? '';
}

/** What another service finds of this account: over HTTP, in Redis, and at WeChat. */
export async function expectTokenServed(
  { internal, redis, prefix, simulator }: LivePlatform,
  account: string,
): Promise<void> {
  const { appid } = COMPONENT;
  const answer = await internal(`/v1/credentials/authorizer_access_token/${appid}:${account}`);
  expect(answer.status).toBe(200);
  const { value } = (await answer.json()) as { value: string };
  expect(await redis.get(`${prefix}authorizer_access_token:${appid}:{${account}}`)).toBe(value);
  expect(simulator.isLive('authorizer_access_token', value)).toBe(true);
}
