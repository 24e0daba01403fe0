import { expect } from 'vitest';
import {
  createReconciler,
  type ReconcileProgress,
  type Reconciler,
} from '../../src/authorizers/reconciliation/runner.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import { createLog } from '../../src/lib/log.ts';
import { CALL_DEADLINE_MS, createWechatApi, type WechatApi } from '../../src/wechat/client.ts';
import { listAuthorizers } from '../../src/wechat/calls/authorizer.ts';
import { TOKEN } from './liveness.ts';
import { read } from './observe.ts';
import { COMPONENT, type LogLine, type Station } from './platform.ts';

/** How a station compares its authorizers with WeChat's list, and what can be seen of that. */

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

export async function progressOf(station: Station): Promise<ReconcileProgress> {
  const answer = await station.internal(PATH);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { reconcile: ReconcileProgress }).reconcile;
}

/** Asks for a run, and lets it come as far as it comes without a pause. */
export async function reconcile(station: Station): Promise<void> {
  const answer = await station.internal(PATH, { method: 'POST' });
  expect(answer.status).toBe(202);
  await pass(station, 0);
  await pass(station, 1_000);
}

/**
 * Lets time pass, also while calls to WeChat hang: goes on as soon as all that is left to wait for is
 * a call that only time can end.
 */
export async function pass(station: Station, ms: number): Promise<void> {
  const settle = async () => {
    const work = { settled: false };
    void station.settle().then(() => (work.settled = true));
    while (!work.settled && !hangs(station)) await new Promise(setImmediate);
  };
  await station.clock.advance(ms, settle);
  await settle();
}

function hangs({ simulator, clock }: Station): boolean {
  return simulator.ledger.calls.some(
    ({ fault, at }) => fault === 'hang' && at + CALL_DEADLINE_MS > clock.now(),
  );
}

/** The part of another replica that reads the list; `wrapApi` changes what it hears from WeChat. */
export function createReader(station: Station, wrapApi: (api: WechatApi) => WechatApi): Reconciler {
  const { clock, config, store, app } = station;
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
export async function listedAtWechat(station: Station): Promise<Map<string, string | undefined>> {
  const { clock, config } = station;
  const log = createLog({ level: 'error' });
  const api = createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log });
  const { value = '' } = await read(station, TOKEN);
  const platform = { componentAppid: COMPONENT.appid, componentAccessToken: value };
  const listed = new Map<string, string | undefined>();
  for (let offset = 0; ; offset += 500) {
    const { list } = await listAuthorizers(api, platform, { offset, count: 500 });
    for (const one of list) listed.set(one.authorizerAppid, one.refreshToken);
    if (list.length < 500) return listed;
  }
}

export function callsOf({ simulator }: Station, api: string): number {
  return simulator.ledger.calls.filter((call) => call.api === api).length;
}

export function said({ logs }: Station, message: string): LogLine[] {
  return logs.filter((line) => line.message === message);
}
