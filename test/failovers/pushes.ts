import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PushRecord } from '../../src/sandbox/wechat/ledger.ts';
import { EVENT, keys, NUMBER, PUSHED } from './platform.ts';
import { aim, type Stage } from './stage.ts';

/** A signed push every 20 ms, a ticket and an event in turn, to both replicas in turn. */

const EVERY_MS = 20;
const TICKET = 'component_verify_ticket';

/** One push, and what was answered. */
export interface Push {
  number: number;
  isTicket: boolean;
  record: PushRecord;
}

export interface Pushes {
  /** Those that were answered or given up so far. */
  sent: Push[];
  /** Milliseconds by which one was sent late at the most: the machine was too busy for the test itself. */
  late: number;
  /** Resolves when all are. */
  stop(): Promise<void>;
}

export function startPushing(stage: Stage): Pushes {
  const open = new Set<Promise<void>>();
  const state: { stopped: boolean } = { stopped: false };
  const pushes: Pushes = {
    sent: [],
    late: 0,
    async stop() {
      state.stopped = true;
      await running;
      await Promise.all(open);
    },
  };
  const one = async (number: number) => {
    const isTicket = number % 2 === 0;
    aim(stage, PUSHED.appid, Math.floor(number / 2));
    const type = isTicket ? TICKET : EVENT;
    const record = await stage.simulator.push(PUSHED.appid, type, { [NUMBER]: String(number) });
    pushes.sent.push({ number, isTicket, record });
  };
  const begun = performance.now();
  const running = (async () => {
    for (let number = 0; !state.stopped; number += 1) {
      pushes.late = Math.max(pushes.late, performance.now() - begun - number * EVERY_MS);
      const push = one(number).finally(() => open.delete(push));
      open.add(push);
      await sleep(Math.max(0, begun + (number + 1) * EVERY_MS - performance.now()));
    }
  })();
  return pushes;
}

/** What became of the pushes that were sent. */
export interface Fate {
  /** Answered `success`, and gone. */
  lost: Push[];
  /** Events that are stored, whatever was answered. */
  events: Push[];
  /** Not answered `success`, and stored all the same: WeChat's repetition is found to be one. */
  storedUnanswered: number;
  /** Stored more than once. */
  twice: number;
}

export async function fateOf({ redis }: Stage, sent: readonly Push[]): Promise<Fate> {
  const stored = new Map<number, number>();
  for (const [, flat] of await redis.xrange(keys.events(PUSHED.appid), '-', '+')) {
    const fields = JSON.parse(flat[flat.indexOf('fields') + 1] ?? '{}') as Record<string, string>;
    const number = Number(fields[NUMBER]);
    if (fields[NUMBER] !== undefined) stored.set(number, (stored.get(number) ?? 0) + 1);
  }
  const lost: Push[] = [];
  const events = sent.filter(({ number, isTicket }) => !isTicket && stored.has(number));
  let storedUnanswered = 0;
  for (const push of sent) {
    const { accepted } = push.record;
    if (stored.has(push.number)) storedUnanswered += accepted ? 0 : 1;
    // A ticket that came after a newer one is no news, and known by its mark alone.
    else if (accepted && !(push.isTicket && (await isMarked(redis, push)))) lost.push(push);
  }
  const twice = [...stored.values()].filter((n) => n > 1).length;
  return { lost, events, storedUnanswered, twice };
}

async function isMarked(redis: Stage['redis'], { record }: Push): Promise<boolean> {
  const [, encrypt = ''] = /<Encrypt><!\[CDATA\[([^\]]+)/.exec(record.body) ?? [];
  const fingerprint = createHash('sha256').update(encrypt).digest('hex');
  return (await redis.exists(keys.seen(PUSHED.appid, fingerprint))) === 1;
}

/** Epoch ms; when it was given up, where there is no answer. */
export function answeredAt({ at, durationMs }: PushRecord): number {
  return at + durationMs;
}

/** Milliseconds between two answers `success`, where the longest gap is. */
export function longestGap(sent: readonly Push[]): number {
  const moments = sent
    .filter(({ record }) => record.accepted)
    .map(({ record }) => answeredAt(record))
    .sort((a, b) => a - b);
  return moments.reduce((most, at, index) => Math.max(most, at - (moments[index - 1] ?? at)), 0);
}
