import { afterEach, beforeEach, expect, it } from 'vitest';
import { linksOf } from '../kit/authorization-pages.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';

/** The service as a whole: a link over the internal API, pages on the public one. */

let platform: TestPlatform;

beforeEach(async () => {
  platform = await createTestPlatform({ env: { PUBLIC_BASE_URL: 'https://wx.example.com' } });
});
afterEach(() => platform.close());

async function startPath(): Promise<string> {
  const path = `/v1/components/${COMPONENT.appid}/authorization-links`;
  const answer = await platform.internal(path, { method: 'POST', body: '{}' });
  const { url } = (await answer.json()) as { url: string };
  const { pathname, search } = new URL(url);
  return `${pathname}${search}`;
}

it('each visitor is sent to WeChat with a living code that nobody else has', async () => {
  await platform.simulator.pushTicket();
  await platform.settle();
  const path = await startPath();
  const codes = [];
  for (let visit = 0; visit < 3; visit += 1) {
    const page = await fetch(platform.publicUrl(path));
    expect(page.status).toBe(200);
    const [address = ''] = linksOf(await page.text());
    expect(new URL(address).origin).toBe('https://mp.weixin.qq.com');
    codes.push(new URL(address).searchParams.get('pre_auth_code') ?? '');
    await platform.settle();
  }
  expect(new Set(codes).size).toBe(3);
  expect(codes.every((one) => platform.simulator.isLive('pre_auth_code', one))).toBe(true);
});

it('before the first ticket the page asks for patience', async () => {
  const page = await fetch(platform.publicUrl(await startPath()));
  expect(page.status).toBe(503);
  expect(Number(page.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
});
