import { expect } from 'vitest';
import { createPlatform } from './authorizers.ts';
import { AUTHORIZER, COMPONENT, type Station, type StationOptions } from './platform.ts';

/** A merchant authorizes the platform: by WeChat's redirect, by its event, or both. */

/** What the public listener is called from outside. */
const PUBLIC_BASE_URL = 'https://platform.example.com';

/** A platform that can make authorization links. */
export async function createLinkedPlatform(options: StationOptions = {}): Promise<Station> {
  return createPlatform({ ...options, env: { PUBLIC_BASE_URL, ...options.env } });
}

/** The query of a start link, for this listener. */
export async function startLink(station: Station, wanted: object = {}): Promise<string> {
  const path = `/v1/components/${COMPONENT.appid}/authorization-links`;
  const body = JSON.stringify(wanted);
  const answer = await station.internal(path, { method: 'POST', body });
  expect(answer.status).toBe(201);
  const { url } = (await answer.json()) as { url: string };
  return new URL(url).search.slice(1);
}

/** Where WeChat sends the merchant's browser with a code. */
export async function donePage(
  station: Station,
  code: string,
  wanted: object = {},
): Promise<() => Promise<Response>> {
  const link = await startLink(station, wanted);
  const query = `${link}&auth_code=${encodeURIComponent(code)}&expires_in=600`;
  const url = station.publicUrl(`/authorize/${COMPONENT.appid}/done?${query}`);
  return () => fetch(url, { redirect: 'manual' });
}

/** The `authorized` event of this code. */
export function authorizedEvent(
  { simulator }: Station,
  code: string,
  more: { infoType?: 'authorized' | 'updateauthorized'; createTime?: number } = {},
) {
  return simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, code, more);
}

/** Exchanges of codes that WeChat was asked for, and what it said to each. */
export function exchangesAsked({ simulator }: Station): (number | null)[] {
  return simulator.ledger.calls
    .filter(({ api }) => api === 'api_query_auth')
    .map(({ errcode }) => errcode);
}
