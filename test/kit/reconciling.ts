import { expect } from 'vitest';
import {
  createReconciler,
  type ReconcileProgress,
  type Reconciler,
} from '../../src/authorizers/reconciliation/runner.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import { createLog } from '../../src/lib/log.ts';
import { createWechatApi, type WechatApi } from '../../src/wechat/client.ts';
import { listAuthorizers } from '../../src/wechat/calls/authorizer.ts';
import { TOKEN } from './liveness.ts';
import type { LogLine } from './logs.ts';
import { read } from './observe.ts';
import { COMPONENT, type TestPlatform } from './platform.ts';
import { passUnanswered } from './waiting.ts';

/** How a platform compares its authorizers with WeChat's list, and what can be seen of that. */

export const LIST_API = 'api_get_authorizer_list';
export const INFO_API = 'api_get_authorizer_info';
/** So that a list of hundreds costs no hundreds of calls for names; `clearFaults` ends it. */
export const NO_PROFILES = {
  api: INFO_API,
  times: 'forever',
  fault: { type: 'errcode', errcode: 45009 },
} as const;
/** The true answer: for the page before the one that goes wrong. */
export const NO_FAULT = { type: 'patch', fields: {} } as const;

const PATH = `/v1/components/${COMPONENT.appid}/reconcile`;

export async function progressOf(platform: TestPlatform): Promise<ReconcileProgress> {
  const answer = await platform.internal(PATH);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { reconcile: ReconcileProgress }).reconcile;
}

/** Asks for a run, and lets it come as far as it comes without a pause. */
export async function reconcile(platform: TestPlatform): Promise<void> {
  const answer = await platform.internal(PATH, { method: 'POST' });
  expect(answer.status).toBe(202);
  await passUnanswered(platform, 0);
  await passUnanswered(platform, 1_000);
}

/** The part of another replica that reads the list; `wrapApi` changes what it hears from WeChat. */
export function createReader(
  platform: TestPlatform,
  wrapApi: (api: WechatApi) => WechatApi,
): Reconciler {
  const { clock, config, store, app } = platform;
  const log = createLog({ level: 'error' });
  return createReconciler({
    store,
    clock,
    log,
    keeper: app.keeper,
    replica: 'reader',
    wechatNow: () => clock.now(),
    api: wrapApi(createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log })),
    memory: createLocalCopies(clock, store.time),
    windowMs: config.refreshWindowMs,
    components: [COMPONENT.appid],
  });
}

/** What WeChat lists just now: appid to refresh token. */
export async function listedAtWechat(
  platform: TestPlatform,
): Promise<Map<string, string | undefined>> {
  const { clock, config } = platform;
  const log = createLog({ level: 'error' });
  const api = createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log });
  const { value = '' } = await read(platform, TOKEN);
  const component = { componentAppid: COMPONENT.appid, componentAccessToken: value };
  const listed = new Map<string, string | undefined>();
  for (let offset = 0; ; offset += 500) {
    const { list } = await listAuthorizers(api, component, { offset, count: 500 });
    for (const one of list) listed.set(one.authorizerAppid, one.refreshToken);
    if (list.length < 500) return listed;
  }
}

export function callsOf({ simulator }: TestPlatform, api: string): number {
  return simulator.ledger.calls.filter((call) => call.api === api).length;
}

export function said({ logs }: TestPlatform, message: string): LogLine[] {
  return logs.filter((line) => line.message === message);
}
