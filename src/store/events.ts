import { onRedis } from './redis.ts';
import { loadScript, runScript } from './scripts.ts';
import type { Store } from './store.ts';

/** Milliseconds for which a push is remembered: its signature is accepted for ten minutes. */
export const SEEN_MS = 11 * 60 * 1000;
/** About this many events are kept per component. */
export const EVENT_STREAM_LENGTH = 10_000;

const appendEventScript = loadScript('append-event');

/** Field names and texts of one stream entry, as consumer groups read them. */
export type EventFields = Readonly<Record<string, string>>;

/**
 * Adds an event unless one of its identities was seen before.
 * @param identities the fingerprint of the push and, for messages, what names the message itself
 * @throws KeeperError `store_unavailable`
 */
export async function appendEvent(
  store: Store,
  appid: string,
  identities: readonly string[],
  event: EventFields,
): Promise<'stored' | 'duplicate'> {
  const outcome = await onRedis(() =>
    runScript(
      store.redis,
      appendEventScript,
      [store.keys.events(appid), ...identities.map((name) => store.keys.seen(appid, name))],
      [SEEN_MS, EVENT_STREAM_LENGTH, JSON.stringify(Object.entries(event).flat())],
    ),
  );
  return outcome as 'stored' | 'duplicate';
}
