import { createHash, randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { createLog } from '../../src/lib/log.ts';
import { createPendingTickets } from '../../src/tickets/pending.ts';
import { createPushTally } from '../../src/callbacks/push-tally.ts';
import { createReceiver, type ArrivedPush } from '../../src/callbacks/receiver.ts';
import { readExchange } from '../../src/store/authorizers/code-exchange.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { createManualClock } from '../kit/clock.ts';
import { AUTHORIZER, COMPONENT } from '../kit/platform.ts';
import { oddPush, sealDeliveries, type OddPush } from './odd-push.ts';

/**
 * Odd pushes through the receiver on a real Redis. Each is answered `success` whenever it is delivered,
 * is stored exactly once, and has its effect: a code is handed over to be exchanged, a ticket is the
 * one that is used.
 */
export interface TrialOptions {
  cases: number;
  seed: number;
  /** Called after each batch with the number of cases so far. */
  onProgress?: (done: number) => void;
}

export interface Violation {
  number: number;
  what: string;
  push: OddPush;
  deliveries: { query: Record<string, string>; body: string }[];
}

/** Cases that are generated and sent together. */
const BATCH = 100;

/** @returns what went wrong with the first case that did, and how many of each kind there were */
export async function tryPushes(redis: Redis, { cases, seed, onProgress }: TrialOptions) {
  const trial = setUp(redis);
  const counts: Record<OddPush['kind'] | 'effects' | 'deliveries', number> = {
    message: 0,
    event: 0,
    authorized: 0,
    ticket: 0,
    effects: 0,
    deliveries: 0,
  };
  for (let done = 0; done < cases; done += BATCH) {
    const numRuns = Math.min(BATCH, cases - done);
    // Each batch can be made again without those before it.
    const batch = fc.sample(oddPush, { numRuns, seed: seed * 1_000_003 + done });
    for (const push of batch) {
      counts[push.kind] += 1;
      counts.deliveries += 1 + push.again.length;
      if (push.effect !== undefined) counts.effects += 1;
    }
    const violation = await trial.tryBatch(batch, done);
    if (violation !== undefined) return { violation, counts };
    onProgress?.(done + numRuns);
  }
  return { violation: undefined, counts };
}

function setUp(redis: Redis) {
  const clock = createManualClock();
  const keys = createKeys(`test${randomBytes(6).toString('hex')}:`);
  const store: Store = {
    redis,
    keys,
    time: createStoreTime(clock),
    encryption: createTokenEncryption([]),
  };
  const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
  const log = createLog({ level: 'error', stream });
  const base = { store, clock, log };
  const receiver = createReceiver({
    ...base,
    components: [{ ...COMPONENT, componentAppid: COMPONENT.appid }],
    pendingTickets: createPendingTickets({ ...base, onStored: () => undefined }),
    onTicket: () => undefined,
    onCode: () => undefined,
    onRevoked: () => undefined,
    tally: createPushTally(log, clock),
  });
  const events = keys.events(COMPONENT.appid);

  /** @returns what went wrong before anything was read back */
  async function deliver(push: OddPush, mark: string): Promise<string | undefined> {
    const deliveries = sealDeliveries(push, mark, Math.floor(clock.now() / 1000));
    const url = push.kind === 'message' ? { authorizerAppid: AUTHORIZER } : {};
    const send = async (one: Omit<ArrivedPush, 'componentAppid'>) => {
      try {
        return (await receiver.receive({ ...one, componentAppid: COMPONENT.appid })).body;
      } catch (error) {
        return String(error);
      }
    };
    const answers: string[] = [];
    const all = deliveries.map((one) => ({ ...one, ...url }));
    if (push.together) answers.push(...(await Promise.all(all.map(send))));
    else for (const one of all) answers.push(await send(one));
    const wrong = answers.find((one) => one !== 'success');
    if (wrong !== undefined) return `answered ${wrong}`;
    return missing(push, mark);
  }

  async function missing({ effect }: OddPush, mark: string): Promise<string | undefined> {
    if (effect === 'code') {
      const id = createHash('sha256').update(`queryauthcode@@@${mark}`).digest('hex').slice(0, 32);
      const exchange = await readExchange(store, COMPONENT.appid, id);
      if (exchange?.authorizer !== AUTHORIZER) return 'its code was not handed over';
    }
    if (effect === 'ticket') {
      const used = await redis.get(keys.ticketMirror(COMPONENT.appid));
      if (used !== `ticket@@@${mark}`) return `its ticket is not used, but ${String(used)}`;
    }
    return undefined;
  }

  async function tryBatch(batch: readonly OddPush[], from: number): Promise<Violation | undefined> {
    const cases = batch.map((push, index) => ({
      push,
      number: from + index,
      mark: `${from + index}`,
    }));
    const problems = new Map<number, string>();
    const run = async ({ push, number, mark }: (typeof cases)[number]) => {
      const problem = await deliver(push, mark);
      if (problem !== undefined) problems.set(number, problem);
    };
    // Of two tickets at once nobody knows which is the newest.
    for (const one of cases.filter(({ push }) => push.kind === 'ticket')) {
      await clock.advance(1_000);
      await run(one);
    }
    await Promise.all(cases.filter(({ push }) => push.kind !== 'ticket').map(run));
    const stored = (await redis.xrange(events, '-', '+')).map(([, flat]) => flat.join('\n'));
    await redis.del(events, keys.exchanges(COMPONENT.appid));
    for (const { number, mark } of cases) {
      const entries = stored.filter((entry) => entry.includes(`case ${mark};`)).length;
      if (entries !== 1) problems.set(number, `${entries} entries instead of one`);
    }
    if (stored.length !== batch.length) problems.set(from, `${stored.length} entries in all`);
    if (stored.some((entry) => /@@@\d/.test(entry))) problems.set(from, 'a secret in the stream');
    for (const { push, number, mark } of cases) {
      const what = problems.get(number);
      if (what === undefined) continue;
      const now = Math.floor(clock.now() / 1000);
      const deliveries = sealDeliveries(push, mark, now).map(({ query, body }) => {
        return { query, body: body.toString('latin1') };
      });
      return { number, what, push, deliveries };
    }
    return undefined;
  }
  return { tryBatch };
}
