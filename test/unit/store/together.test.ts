import { expect, it } from 'vitest';
import type { Store } from '../../../src/store/store.ts';
import { createTogether } from '../../../src/store/together.ts';

/** What was sent together, each batch to be answered when a test says so. */
function createSender() {
  const batches: { appid: string; items: readonly number[]; answer: (fails?: Error) => void }[] =
    [];
  const together = createTogether(
    (_store, appid, items: readonly number[]) =>
      new Promise<number[]>((resolve, reject) => {
        const answer = (fails?: Error) => {
          if (fails === undefined) resolve(items.map((one) => one * 2));
          else reject(fails);
        };
        batches.push({ appid, items, answer });
      }),
  );
  const store = {} as Store;
  return { batches, send: (item: number, appid = 'C') => together(store, appid, item) };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('sends alone what comes alone', async () => {
  const { batches, send } = createSender();
  const first = send(1);
  expect(batches.map(({ items }) => items)).toEqual([[1]]);
  batches[0]?.answer();
  expect(await first).toBe(2);
  await turn();
  const second = send(2);
  expect(batches.map(({ items }) => items)).toEqual([[1], [2]]);
  batches[1]?.answer();
  expect(await second).toBe(4);
});

it('sends together what comes while an answer is awaited, a hundred at most, each with its result', async () => {
  const { batches, send } = createSender();
  const first = send(0);
  const others = Array.from({ length: 120 }, (_, index) => send(index + 1));
  await turn();
  expect(batches).toHaveLength(1);
  batches[0]?.answer();
  await turn();
  batches[1]?.answer();
  await turn();
  batches[2]?.answer();
  expect(batches.map(({ items }) => items.length)).toEqual([1, 100, 20]);
  expect(await Promise.all([first, ...others])).toEqual(
    Array.from({ length: 121 }, (_, index) => index * 2),
  );
});

it('lets nobody who comes in the last moment wait for ever', async () => {
  const { batches, send } = createSender();
  const first = send(1);
  batches[0]?.answer();
  // As early as its answer is known.
  const second = first.then(() => send(2));
  await turn();
  batches[1]?.answer();
  expect(await second).toBe(4);
});

it('fails those that wait with the one that failed, and begins anew', async () => {
  const { batches, send } = createSender();
  const failed = [send(1), send(2)].map((one) => one.catch(String));
  batches[0]?.answer(new Error('away'));
  expect(await Promise.all(failed)).toEqual(['Error: away', 'Error: away']);
  const next = send(3);
  batches[1]?.answer();
  expect(await next).toBe(6);
});

it('does not let one appid wait for another', () => {
  const { batches, send } = createSender();
  void send(1, 'A');
  void send(2, 'B');
  expect(batches.map(({ appid }) => appid)).toEqual(['A', 'B']);
});
