import { PLACES, type QueueLook } from './deliveries.ts';
import { COMPONENT, type Station } from './station.ts';
import { markIn } from './targets.ts';

/** Everything that Redis says of deliveries, at one moment. */
export interface QueuesLook {
  queues: QueueLook[];
  /** Pushes of ours that are new in the event stream. */
  stored: { id: string; mark: string }[];
  lastEvent: string | undefined;
  /** Bytes that each push is counted with. */
  sizes: ReadonlyMap<string, number>;
  /** How often each dead letter was tried, by route and id. */
  attempts: ReadonlyMap<string, number>;
  /** Redis's clock, less the monotonic one. */
  offset: number;
}

type Entry = [id: string, flat: string[]];

/** They never change. */
const sizes = new WeakMap<Station, Map<string, number>>();

/** @param since the last entry of the event stream that is known */
export async function readQueues(
  station: Station,
  routes: readonly string[],
  since: string | undefined,
): Promise<QueuesLook> {
  const { redis, keys, clock } = station;
  const { appid } = COMPONENT;
  const reading = redis.multi();
  reading.xrange(keys.events(appid), since === undefined ? '-' : `(${since}`, '+');
  for (const route of routes) {
    const names = keys.deliveries(appid, route);
    for (const place of PLACES) reading.zrange(names[place], '0', '-1', 'WITHSCORES');
    reading.hmget(names.target, 'bytes', 'stopped_at');
  }
  const [events, ...rest] = ((await reading.exec()) ?? []).map(([error, result]) => {
    if (error !== null) throw error;
    return result;
  });
  const each = PLACES.length + 1;
  const queues = routes.map((route, index) =>
    queueOf(route, rest.slice(index * each, (index + 1) * each)),
  );
  const entries = (events ?? []) as Entry[];
  return {
    queues,
    stored: entries.map(readEntry).filter(({ mark }) => mark !== ''),
    lastEvent: entries.at(-1)?.[0],
    sizes: await sizesOf(station, queues),
    attempts: await attemptsOf(station, queues),
    offset: clock.simulatedStoreNow() - clock.monotonic(),
  };
}

function queueOf(route: string, results: readonly unknown[]): QueueLook {
  const found: QueueLook['found'] = new Map();
  for (const [index, place] of PLACES.entries()) {
    const flat = results[index] as string[];
    for (let at = 0; at < flat.length; at += 2) {
      const id = flat[at] ?? '';
      const places = found.get(id) ?? [];
      found.set(id, places);
      places.push({ place, score: Number(flat[at + 1]) });
    }
  }
  const [bytes, stoppedAt] = results[PLACES.length] as (string | null)[];
  return { route, found, bytes: Number(bytes ?? 0), isStopped: typeof stoppedAt === 'string' };
}

function readEntry([, flat]: Entry): { id: string; mark: string } {
  return { id: flat[flat.indexOf('id') + 1] ?? '', mark: markIn(flat.join(' ')) };
}

async function sizesOf(station: Station, queues: readonly QueueLook[]) {
  const known = sizes.get(station) ?? new Map<string, number>();
  sizes.set(station, known);
  const { redis, keys } = station;
  const fresh = new Set(queues.flatMap(({ found }) => [...found.keys()]));
  const unknown = [...fresh].filter((id) => !known.has(id));
  await Promise.all(
    unknown.map(async (id) => {
      known.set(id, Number(await redis.hget(keys.push(COMPONENT.appid, id), 'size')));
    }),
  );
  return known;
}

async function attemptsOf({ redis, keys }: Station, queues: readonly QueueLook[]) {
  const attempts = new Map<string, number>();
  for (const { route, found } of queues) {
    const dead = [...found].filter(([, [at]]) => at?.place === 'dead').map(([id]) => id);
    if (dead.length === 0) continue;
    const told = await Promise.all(dead.map((id) => redis.hkeys(keys.push(COMPONENT.appid, id))));
    for (const [index, id] of dead.entries()) {
      const tried = told[index]?.map((name) => name.split(`try:${route}:`)[1] ?? 0) ?? [];
      attempts.set(`${route} ${id}`, Math.max(0, ...tried.map(Number)));
    }
  }
  return attempts;
}
