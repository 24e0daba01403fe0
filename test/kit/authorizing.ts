import { expect } from 'vitest';
import { AUTHORIZER, COMPONENT, type TestPlatform } from './platform.ts';

/** A merchant authorizes the platform: by WeChat's redirect, by its event, or both. */

/** The query of a start link, for this listener. */
export async function startLink(platform: TestPlatform, wanted: object = {}): Promise<string> {
  const path = `/v1/components/${COMPONENT.appid}/authorization-links`;
  const body = JSON.stringify(wanted);
  const answer = await platform.internal(path, { method: 'POST', body });
  expect(answer.status).toBe(201);
  const { url } = (await answer.json()) as { url: string };
  return new URL(url).search.slice(1);
}

/** Where WeChat sends the merchant's browser with a code. */
export async function donePage(
  platform: TestPlatform,
  code: string,
  wanted: object = {},
): Promise<() => Promise<Response>> {
  const link = await startLink(platform, wanted);
  const query = `${link}&auth_code=${encodeURIComponent(code)}&expires_in=600`;
  const url = platform.publicUrl(`/authorize/${COMPONENT.appid}/done?${query}`);
  return () => fetch(url, { redirect: 'manual' });
}

/** The `authorized` event of this code. */
export function authorizedEvent(
  { simulator }: TestPlatform,
  code: string,
  more: { infoType?: 'authorized' | 'updateauthorized'; createTime?: number } = {},
) {
  return simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, code, more);
}

/** Exchanges of codes that WeChat was asked for, and what it said to each. */
export function exchangesAsked({ simulator }: Pick<TestPlatform, 'simulator'>): (number | null)[] {
  return simulator.ledger.calls
    .filter(({ api }) => api === 'api_query_auth')
    .map(({ errcode }) => errcode);
}
