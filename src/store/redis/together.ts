import type { Store } from './store.ts';

/**
 * Sends together what is to be written in one turn of the event loop. Without load that is one item, which
 * waits for nobody; under load a turn hears many connections, and a write by itself costs more through its
 * way there and back than through what Redis does.
 */
export type Together<Item, Result> = (store: Store, appid: string, item: Item) => Promise<Result>;

/** Items that are sent together at most: Redis serves nobody else while it writes them. */
const MOST = 50;

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * @param send writes some items of one appid: they share a slot of a cluster, and each has its result.
 *   When it fails, all of them fail.
 */
export function createTogether<Item, Result>(
  send: (store: Store, appid: string, items: readonly Item[]) => Promise<readonly Result[]>,
): Together<Item, Result> {
  const queues = new WeakMap<Store, Map<string, Waiting<Item, Result>[]>>();

  async function sendAll(store: Store, appid: string, all: readonly Waiting<Item, Result>[]) {
    try {
      const items = all.map(({ item }) => item);
      const results = await send(store, appid, items);
      for (const [index, { resolve }] of all.entries()) resolve(results[index] as Result);
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }

  return (store, appid, item) =>
    new Promise((resolve, reject) => {
      const ofStore = queues.get(store) ?? new Map<string, Waiting<Item, Result>[]>();
      queues.set(store, ofStore);
      const queue = ofStore.get(appid);
      if (queue !== undefined && queue.length < MOST) {
        queue.push({ item, resolve, reject });
        return;
      }
      const next: Waiting<Item, Result>[] = [{ item, resolve, reject }];
      ofStore.set(appid, next);
      setImmediate(() => {
        if (ofStore.get(appid) === next) ofStore.delete(appid);
        void sendAll(store, appid, next);
      });
    });
}
