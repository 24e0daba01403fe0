import type { Cluster, Redis } from 'ioredis';
import { createKeys, type Keys } from '../../src/store/redis/keys.ts';
import { loadRecordScript, type Script } from '../../src/store/redis/scripts.ts';
import type { Place } from './place.ts';

/** The real Redis that the replicas of a schedule share, and what can be done to it by hand. */

export const ID = { kind: 'access_token', subject: 'wx00000000000000aa' } as const;
/** Whose slot is that of all its keys. */
export const KEY = `{${ID.subject}}`;

export interface SharedStore {
  place: Place;
  redis: Redis | Cluster;
  keys: Keys;
  /** What is stored now, and before: the latest last. */
  past: Stored[];
  /** When Redis removes the mirror, by simulated time. */
  mirrorUntil: number;
}

/** The record and its mirror at one moment. */
export interface Stored {
  fields: Readonly<Record<string, string>>;
  mirror: string | undefined;
}

const NAMES = [
  ...['read-record', 'begin-mint', 'commit-mint', 'fail-mint', 'restore-record', 'refuse-value'],
] as const;
export type ScriptName = (typeof NAMES)[number];

const SCRIPTS = NAMES.map((name): { name: ScriptName; script: Script } => ({
  name,
  script: loadRecordScript(`credentials/${name}`),
}));
const NAME_OF = new Map(SCRIPTS.map(({ name, script }) => [script.sha, name]));

export function nameOf(sha: string): ScriptName {
  const name = NAME_OF.get(sha);
  if (name === undefined) throw new Error(`a script that no schedule knows: ${sha}`);
  return name;
}

const KEPT_STATES = 4;
const OBSERVE = `
local mirror = redis.call('GET', KEYS[2])
return { redis.call('HGETALL', KEYS[1]), mirror, redis.call('PTTL', KEYS[2]) }`;

/** Loads the scripts once, so that no call has to be repeated with the text. */
export async function loadScripts(redis: Redis): Promise<void> {
  for (const { script } of SCRIPTS) await redis.script('LOAD', script.body);
}

export async function createSharedStore(place: Place, prefix: string): Promise<SharedStore> {
  const { redis } = place;
  const keys = createKeys(prefix);
  await redis.del(keys.record(ID), keys.mirror(ID), keys.history(ID));
  return { place, redis, keys, past: [{ fields: {}, mirror: undefined }], mirrorUntil: 0 };
}

export function storedNow({ past }: SharedStore): Stored {
  return past.at(-1) ?? { fields: {}, mirror: undefined };
}

/** Looks at what Redis holds after something was written. */
export async function observe(store: SharedStore, now: number): Promise<Stored> {
  const { redis, keys, past } = store;
  const [flat, mirror, leftMs] = (await redis.eval(
    OBSERVE,
    2,
    keys.record(ID),
    keys.mirror(ID),
  )) as [string[], string | null, number];
  const fields: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? '';
  const stored = { fields, mirror: mirror ?? undefined };
  // Redis's own clock hardly moves during a schedule: what is left now is what was given.
  if (stored.mirror !== storedNow(store).mirror) store.mirrorUntil = now + Math.max(0, leftMs);
  past.push(stored);
  if (past.length > KEPT_STATES) past.shift();
  return stored;
}

/** Does what Redis's clock would have done to the mirror by now. */
export async function expireMirror(store: SharedStore, now: number): Promise<void> {
  if (storedNow(store).mirror === undefined || now < store.mirrorUntil) return;
  await store.redis.del(store.keys.mirror(ID));
  await observe(store, now);
}

/** Redis goes back to an earlier state, under a new replication id. */
export async function failOver(store: SharedStore, lostWrites: number, now: number): Promise<void> {
  const { place, redis, keys, past } = store;
  const survived = past[Math.max(0, past.length - 1 - lostWrites)] ?? storedNow(store);
  await redis.del(keys.record(ID), keys.mirror(ID));
  if (Object.keys(survived.fields).length > 0) await redis.hset(keys.record(ID), survived.fields);
  const leftMs = Number(survived.fields.expires_at ?? 0) - now;
  if (survived.mirror !== undefined && leftMs > 0) {
    await redis.set(keys.mirror(ID), survived.mirror, 'PX', leftMs);
  }
  await place.changeId();
  await observe(store, now);
  store.past = [storedNow(store)];
}
