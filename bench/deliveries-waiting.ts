import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { systemClock } from '../src/lib/clock.ts';
import { moveDeliveries, waitingIn } from '../src/store/deliveries/queue.ts';
import { readTargetState } from '../src/store/deliveries/target-state.ts';
import { createKeys } from '../src/store/redis/keys.ts';
import { createStoreTime } from '../src/store/redis/time.ts';
import { createTokenEncryption } from '../src/store/redis/token-encryption.ts';
import type { Store } from '../src/store/redis/store.ts';
import { appendEvent } from '../src/store/tickets/event-stream.ts';
import type { Part } from './deliveries.ts';
import { burst, BURST_COLUMNS, medianOf, rowOf, type Burst } from './deliveries-burst.ts';
import { COMPONENT } from './rig/component.ts';
import { residentMb } from './rig/cores.ts';
import { countAtTarget, PACE, route, untilCounted, type DeliveryStage } from './rig/delivering.ts';
import type { Running } from './rig/launch.ts';
import type { Options } from './rig/options.ts';
import { figure, ratio, shorten } from './rig/report.ts';

/** A million deliveries for a target that is dead: what the others, and WeChat, notice of them. */

const WAITING = 1_000_000;
/** Written to Redis in one go. */
const CHUNK = 200;
const CHUNKS = 100;
const PREFIX = 'waiting:';
const LOOKS = 10;
const PING_EVERY_MS = 2;

export async function measureWaiting(
  stage: DeliveryStage,
  { rounds, say }: Options,
): Promise<Part> {
  const { target, deadPort } = stage;
  const [plain] = await stage.startKeepers('waiting-plain:', 1, []);
  const [routed] = await stage.startKeepers(PREFIX, 1, [
    route(target.port, '/well', { name: 'well', ...PACE }),
    route(deadPort, '/', { name: 'dead', ...PACE }),
  ]);
  if (plain === undefined || routed === undefined) throw new Error('wxkeeper did not start');
  const store = {
    redis: stage.redis,
    keys: createKeys(PREFIX),
    time: createStoreTime(systemClock),
    encryption: createTokenEncryption([]),
  };
  const measure = (count: number) => measureBoth(stage, [plain, routed], count);
  const before = await measure(rounds);
  const filledIn = await fill(store);
  say(`${WAITING} deliveries were written in ${Math.round(filledIn / 1000)} s`);
  const after = await measure(rounds);
  const [mb, plainMb] = [residentMb(routed.pid), residentMb(plain.pid)];
  const statusMs = await slowestStatus(stage, routed);
  const redisMb = await usedMb(stage);
  await giveUpAll(store);
  const thrownAway = await throwAway(stage, routed);
  say(JSON.stringify({ ...thrownAway, statusMs, mb, plainMb, redisMb }));
  const { fresh, again, dead, bytes } = await readTargetState(store, COMPONENT.appid, 'dead');
  const left = { waiting: fresh + again + dead, bytes };
  return describe(before, after, { mb, plainMb, redisMb, statusMs, ...thrownAway, left });
}

interface Both {
  plain: Burst[];
  routed: Burst[];
}

async function measureBoth(
  stage: DeliveryStage,
  [plain, routed]: readonly [Running, Running],
  rounds: number,
): Promise<Both> {
  const both: Both = { plain: [], routed: [] };
  let expected = await countAtTarget(stage);
  for (let round = 0; round <= rounds; round += 1) {
    const one = await burst([plain]);
    const other = await burst([routed]);
    expected += other.pushes;
    await untilCounted(stage, expected);
    // Nothing is measured cold.
    if (round === 0) continue;
    both.plain.push(one);
    both.routed.push(other);
  }
  return both;
}

/** As a replica leaves them that takes messages. @returns milliseconds */
async function fill(store: Store & { redis: Redis }): Promise<number> {
  const { redis, keys } = store;
  const { appid } = COMPONENT;
  const { fresh, again, target } = keys.deliveries(appid, 'dead');
  const [sample = ''] = [
    ...(await redis.zrange(fresh, '0', '0')),
    ...(await redis.zrange(again, '0', '0')),
  ];
  const all = Object.entries(await redis.hgetall(keys.push(appid, sample)));
  // Without what Redis adds: the plan has it for each anew.
  const kept = Object.fromEntries(all.filter(([name]) => !/^(open|size|try:.*)$/.test(name)));
  if (kept['json'] === undefined) throw new Error('nothing waits for the dead target');
  // It would take the time of the load, which has the same core.
  await redis.config('SET', 'auto-aof-rewrite-percentage', 0);
  const begun = performance.now();
  const plan = () => {
    const id = randomUUID();
    const queues = [{ keys: [fresh, target], score: Date.now() }] as const;
    const identities = [{ name: id, forMs: 1_000 }];
    return appendEvent(store, appid, { identities, event: { id }, plan: { id, kept, queues } });
  };
  while ((await redis.zcard(fresh)) + (await redis.zcard(again)) < WAITING) {
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
      await Promise.all(Array.from({ length: CHUNK }, plan));
    }
  }
  return performance.now() - begun;
}

async function slowestStatus({ apiKey }: DeliveryStage, { internalPort }: Running) {
  let slowest = 0;
  for (let look = 0; look < LOOKS; look += 1) {
    const begun = performance.now();
    const answer = await fetch(`http://127.0.0.1:${internalPort}/status`, {
      headers: { authorization: `Bearer ${apiKey}` },
    });
    await answer.text();
    slowest = Math.max(slowest, performance.now() - begun);
  }
  return slowest;
}

async function usedMb({ redis }: DeliveryStage): Promise<number> {
  const [, bytes = '0'] = /used_memory:(\d+)/.exec(await redis.info('memory')) ?? [];
  return Number(bytes) / 1e6;
}

async function giveUpAll(store: Store): Promise<void> {
  for (const where of ['fresh', 'again'] as const) {
    for (;;) {
      const ids = await waitingIn(store, COMPONENT.appid, 'dead', where);
      if (ids.length === 0) break;
      await moveDeliveries(store, COMPONENT.appid, 'dead', 'give_up', where, ids);
    }
  }
}

/** Every dead letter, by one request, while somebody else asks Redis for something small. */
async function throwAway({ redis, apiKey }: DeliveryStage, { internalPort }: Running) {
  const state: { over: boolean } = { over: false };
  const begun = performance.now();
  const path = `/v1/components/${COMPONENT.appid}/deliveries/dead/discard`;
  const discarding = fetch(`http://127.0.0.1:${internalPort}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ all: true }),
  }).finally(() => (state.over = true));
  const waits: number[] = [];
  while (!state.over) {
    const asked = performance.now();
    await redis.ping();
    waits.push(performance.now() - asked);
    await sleep(PING_EVERY_MS);
  }
  const answer = await discarding;
  if (!answer.ok) throw new Error(`dead letters could not be thrown away: ${answer.status}`);
  waits.sort((a, b) => a - b);
  return {
    moved: ((await answer.json()) as { moved: number }).moved,
    seconds: (performance.now() - begun) / 1000,
    waitP99: waits[Math.floor(waits.length * 0.99)] ?? NaN,
    longestWait: waits.at(-1) ?? NaN,
  };
}

interface Figures extends Awaited<ReturnType<typeof throwAway>> {
  mb: number;
  plainMb: number;
  redisMb: number;
  statusMs: number;
  left: { waiting: number; bytes: number };
}

function describe(before: Both, after: Both, figures: Figures): Part {
  const everything = [before.plain, before.routed, after.plain, after.routed].flat();
  const lost = everything.reduce((sum, one) => sum + one.notAcknowledged, 0);
  const { mb, plainMb, redisMb, statusMs, seconds, moved, waitP99, longestWait, left } = figures;
  const million = WAITING.toLocaleString('en');
  return {
    tables: [
      {
        columns: BURST_COLUMNS,
        rows: [
          rowOf('one replica, no routes', [...before.plain, ...after.plain]),
          rowOf('two routes, one dead', before.routed),
          rowOf(`the same, ${million} waiting`, after.routed),
        ],
      },
    ],
    lines: [
      ratio({
        what: {
          en: `p99 of a message with ${million} waiting for a dead target, to no routes`,
          zh: `有 ${million} 条等待不通目标时消息的 p99，对比无路由`,
        },
        of: medianOf(after.routed, 'p99Ms'),
        to: medianOf(after.plain, 'p99Ms'),
        atMost: 1.5,
      }),
      ratio({
        what: {
          en: `memory (RSS) of a replica with ${million} waiting, to one without routes`,
          zh: `有 ${million} 条等待时副本的内存（RSS），对比无路由的副本`,
        },
        of: mb,
        to: plainMb,
        atMost: 1.5,
      }),
      figure({ en: 'messages without success', zh: '未应答 success 的消息' }, lost, '', 0),
      figure(
        {
          en: `/status with ${million} waiting, slowest`,
          zh: `有 ${million} 条等待时最慢的 /status`,
        },
        statusMs,
        'ms',
        100,
      ),
      figure(
        {
          en: `p99 of a command to Redis while ${million} dead letters are thrown away`,
          zh: `丢弃 ${million} 条死信期间一条 Redis 命令的 p99`,
        },
        waitP99,
        'ms',
        20,
      ),
    ],
    notes: [
      `the healthy target had every message of each burst`,
      `Redis had ${shorten(redisMb)} MB in use with them`,
      `${moved.toLocaleString('en')} dead letters were thrown away by one request in ${shorten(seconds)} s; a command to Redis took ${shorten(longestWait)} ms at the longest meanwhile; ${left.waiting} were left`,
    ],
    failed: lost > 0 || moved < WAITING || left.waiting + left.bytes > 0,
  };
}
