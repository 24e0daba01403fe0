import { deliveryKeys, pushArgument, type DeliveryPlan } from './push.ts';
import type { Counted, EventFields } from './push.ts';
import { onDisplayKey, onRedis } from '../redis/connection.ts';
import { loadPushScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';
import { createTogether } from '../redis/together.ts';

/** Milliseconds for which a push is remembered at least: its signature is accepted for ten minutes. */
export const SEEN_MS = 11 * 60 * 1000;
/** About this many events are kept per component. */
export const EVENT_STREAM_LENGTH = 10_000;

/**
 * Addresses under which one push is stored when nobody knows whose it is. WeChat sends it to one; whoever
 * has captured it could send it to any number, until what others have sent is out of the stream.
 */
const MOST_ADDRESSES = 3;

const appendEventScript = loadPushScript('tickets/append-event');

/** One name that a push is recognised by when it comes again. */
export interface Identity {
  name: string;
  /** Milliseconds for which it is remembered. */
  forMs: number;
}

/** `elsewhere`: it is stored under other addresses, as often as one push is. */
export type Appended = 'stored' | 'duplicate' | 'elsewhere';

/** A push on its way into the stream. */
export interface ArrivedEvent {
  identities: readonly Identity[];
  /** What it is recognised by at any address, if those are to be counted. */
  everywhere?: Identity | undefined;
  event: EventFields;
  /** Undefined when nobody is to count it. */
  counted?: Counted | undefined;
  /** Undefined when nothing of it is to be delivered. */
  plan?: DeliveryPlan | undefined;
}

const append = createTogether(appendAll);

/**
 * Adds an event unless one of its identities was seen before.
 * @throws KeeperError `store_unavailable`
 */
export function appendEvent(store: Store, appid: string, arrived: ArrivedEvent): Promise<Appended> {
  return append(store, appid, arrived);
}

async function appendAll(
  { redis, keys }: Store,
  appid: string,
  pushes: readonly ArrivedEvent[],
): Promise<Appended[]> {
  const names = [keys.events(appid), keys.pushStats(appid)];
  const args: (string | number)[] = [EVENT_STREAM_LENGTH];
  for (const { identities, everywhere, event, counted, plan } of pushes) {
    const all = everywhere === undefined ? identities : [...identities, everywhere];
    for (const { name } of all) names.push(keys.seen(appid, name));
    names.push(...deliveryKeys(keys, appid, plan));
    const lives = all.map(({ forMs }) => forMs);
    const addresses = everywhere === undefined ? 0 : MOST_ADDRESSES;
    args.push(pushArgument([addresses, lives], event, counted, plan));
  }
  return (await onRedis(() => runScript(redis, appendEventScript, names, args))) as Appended[];
}

/**
 * The id of the push that was seen first under one of these names; undefined when it was not delivered.
 * @throws KeeperError `store_unavailable`
 */
export async function idOfSeen(
  { redis, keys }: Store,
  appid: string,
  identities: readonly Identity[],
): Promise<string | undefined> {
  const names = identities.map(({ name }) => keys.seen(appid, name));
  const found = await onRedis(() => Promise.all(names.map((name) => redis.get(name))));
  return found.find((one) => one !== null && one !== '1') ?? undefined;
}

/** Whether one of these was seen before. @throws KeeperError `store_unavailable` */
export async function wasSeen(
  { redis, keys }: Store,
  appid: string,
  identities: readonly Identity[],
): Promise<boolean> {
  const names = identities.map(({ name }) => keys.seen(appid, name));
  return (await onRedis(() => redis.exists(...names))) > 0;
}

export interface StoredEvent {
  /** Of the stream entry. */
  id: string;
  /** When it was stored, epoch ms by the store's clock. */
  at: number;
  fields: EventFields;
}

/** Entries that are looked at in one go. */
const SEARCHED = 500;

/**
 * The entry of one push, while it is in the stream. It has to be searched for, so this is for people.
 * @throws KeeperError `store_unavailable`
 */
export async function findEvent(
  { redis, keys }: Store,
  appid: string,
  id: string,
): Promise<StoredEvent | undefined> {
  let end = '+';
  for (let seen = 0; seen <= EVENT_STREAM_LENGTH; seen += SEARCHED) {
    const read = () => redis.xrevrange(keys.events(appid), end, '-', 'COUNT', SEARCHED);
    const events = (await onDisplayKey(read, [])).map(toEvent);
    const found = events.find(({ fields }) => fields.id === id);
    const last = events.at(-1);
    if (found !== undefined || last === undefined || events.length < SEARCHED) return found;
    end = `(${last.id}`;
  }
  return undefined;
}

/** The last events, newest first. @throws KeeperError `store_unavailable` */
export async function readEvents(
  store: Store,
  appid: string,
  count: number,
): Promise<StoredEvent[]> {
  const key = store.keys.events(appid);
  const entries = await onDisplayKey(
    () => store.redis.xrevrange(key, '+', '-', 'COUNT', count),
    [],
  );
  return entries.map(toEvent);
}

function toEvent([id, flat]: [string, string[]]): StoredEvent {
  const fields: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? '';
  return { id, at: Number(id.split('-')[0]), fields };
}
