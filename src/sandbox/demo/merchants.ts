import { setTimeout as sleep } from 'node:timers/promises';
import type { PushFields } from '../wechat/push-document.ts';
import type { Simulator } from '../wechat/simulator.ts';
import { DEMO_COMPONENT } from './component.ts';

/**
 * Accounts that authorize the platform of the demo, so that there is something to look after, and
 * what their users write. Their appids are ones whose tokens have nearly the whole window, which is
 * short where time is.
 */
const MERCHANTS = [
  { appid: 'wx5ca1ab1ec0ffee21', nickname: '晴天咖啡', kind: 'mini' },
  { appid: 'wxb00c5b00c5b00cad', nickname: '山间书店', kind: 'official' },
  { appid: 'wxbadeca5ebadeca44', nickname: 'Lantern Street Bakery', kind: 'mini' },
] as const;
/** One that changes its mind. */
const FICKLE = { appid: 'wxdeadbea7deadbea7', nickname: '老街面馆', kind: 'official' } as const;
/** When it authorizes and when it ends that, in intervals. */
const FICKLE_COMES = 3;
const FICKLE_LEAVES = 7;
/** Seconds: people are not faster than this where tickets are. */
const SHORTEST_INTERVAL = 5;

/** What users send, again and again: one of these at every second interval. */
const MESSAGES: readonly [merchant: 0 | 1 | 2, fields: PushFields][] = [
  [1, { MsgType: 'event', Event: 'subscribe', EventKey: '' }],
  [0, { MsgType: 'text', Content: '今天几点关门？' }],
  [2, { MsgType: 'event', Event: 'user_enter_tempsession', SessionFrom: 'shop' }],
  [1, { MsgType: 'event', Event: 'CLICK', EventKey: 'new_books' }],
  [2, { MsgType: 'text', Content: 'Do you have rye bread today?' }],
];

const { appid: component } = DEMO_COMPONENT;

/**
 * Plays all of them until it is told to stop. Never rejects: what is not taken, the counts of the demo
 * tell.
 * @param ticketSeconds between two tickets
 */
export async function playMerchants(
  simulator: Simulator,
  ticketSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const intervalMs = Math.max(ticketSeconds, SHORTEST_INTERVAL) * 1000;
  try {
    for (const merchant of MERCHANTS) await authorize(simulator, merchant);
    for (let interval = 1; ; interval += 1) {
      await sleep(intervalMs, undefined, { signal });
      if (interval === FICKLE_COMES) await authorize(simulator, FICKLE);
      if (interval === FICKLE_LEAVES) await simulator.pushUnauthorized(component, FICKLE.appid);
      const [merchant, fields] = MESSAGES[(interval / 2) % MESSAGES.length] ?? [];
      if (merchant === undefined || fields === undefined) continue;
      await simulator.pushMessage(component, MERCHANTS[merchant].appid, fields);
    }
  } catch {
    // Told to stop, or the simulator has stopped.
  }
}

/** It confirms on WeChat's page, and WeChat pushes the event with the code. */
async function authorize(
  simulator: Simulator,
  { appid, nickname, kind }: (typeof MERCHANTS)[number] | typeof FICKLE,
): Promise<void> {
  const { eventCode } = simulator.grant(component, appid, { nickname, kind });
  await simulator.pushAuthorized(component, appid, eventCode);
}
