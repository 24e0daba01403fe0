import type { Store } from './store.ts';

/**
 * Sends alone what is to be written while nothing is under way, and together what comes while an answer
 * of Redis is awaited. Under load a write by itself costs more through its way there and back than
 * through what Redis does; and without load nobody waits for company.
 */
export type Together<Item, Result> = (store: Store, appid: string, item: Item) => Promise<Result>;

/** Items that are sent together at most: Redis serves nobody else while it writes them. */
const MOST = 100;

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * @param send writes some items of one appid: they share a slot of a cluster, and each has its result.
 *   When it fails, all of them fail, and those that wait for it.
 */
export function createTogether<Item, Result>(
  send: (store: Store, appid: string, items: readonly Item[]) => Promise<readonly Result[]>,
): Together<Item, Result> {
  const queues = new WeakMap<Store, Map<string, Waiting<Item, Result>[]>>();

  return (store, appid, item) =>
    new Promise((resolve, reject) => {
      const one: Waiting<Item, Result> = { item, resolve, reject };
      const ofStore = queues.get(store) ?? new Map<string, Waiting<Item, Result>[]>();
      queues.set(store, ofStore);
      const queue = ofStore.get(appid);
      if (queue !== undefined) {
        queue.push(one);
        return;
      }
      const waiting: Waiting<Item, Result>[] = [];
      ofStore.set(appid, waiting);
      void (async () => {
        for (let batch = [one]; batch.length > 0; batch = waiting.splice(0, MOST)) {
          await sendAll((items) => send(store, appid, items), batch, waiting);
        }
        // In the same turn in which nobody was left, so that nobody comes to a queue that is over.
        ofStore.delete(appid);
      })();
    });
}

/** Never rejects. @param waiting those that came meanwhile */
async function sendAll<Item, Result>(
  send: (items: readonly Item[]) => Promise<readonly Result[]>,
  batch: readonly Waiting<Item, Result>[],
  waiting: Waiting<Item, Result>[],
): Promise<void> {
  try {
    const results = await send(batch.map(({ item }) => item));
    for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result);
  } catch (error) {
    // Who came meanwhile has waited just as long, and would do so once more.
    for (const { reject } of [...batch, ...waiting.splice(0)]) reject(error);
  }
}
