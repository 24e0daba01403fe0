import { expect, it } from 'vitest';
import type { Store } from '../../../src/store/redis/store.ts';
import { createTogether } from '../../../src/store/redis/together.ts';

/** What was sent together; a negative number fails its batch. */
function createSender() {
  const batches: { appid: string; items: readonly number[] }[] = [];
  const together = createTogether(async (_store, appid, items: readonly number[]) => {
    batches.push({ appid, items });
    await turn();
    if (items.some((one) => one < 0)) throw new Error('away');
    return items.map((one) => one * 2);
  });
  const store = {} as Store;
  return { batches, send: (item: number, appid = 'C') => together(store, appid, item) };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('sends alone what comes alone, also while an answer is awaited', async () => {
  const { batches, send } = createSender();
  const first = send(1);
  await turn();
  const second = send(2);
  expect(await Promise.all([first, second])).toEqual([2, 4]);
  expect(batches.map(({ items }) => items)).toEqual([[1], [2]]);
});

it('sends together what comes in one turn, fifty at most, each with its result', async () => {
  const { batches, send } = createSender();
  const numbers = Array.from({ length: 120 }, (_, index) => index);
  const results = await Promise.all(numbers.map((one) => send(one)));
  expect(results).toEqual(numbers.map((one) => one * 2));
  expect(batches.map(({ items }) => items.length)).toEqual([50, 50, 20]);
});

it('fails those that were sent together, and nobody else', async () => {
  const { send } = createSender();
  const failed = [send(1), send(-1)].map((one) => one.catch(String));
  await turn();
  const other = send(2);
  expect(await Promise.all(failed)).toEqual(['Error: away', 'Error: away']);
  expect(await other).toBe(4);
});

it('does not mix appids', async () => {
  const { batches, send } = createSender();
  await Promise.all([send(1, 'A'), send(2, 'B'), send(3, 'A')]);
  expect(batches).toEqual([
    { appid: 'A', items: [1, 3] },
    { appid: 'B', items: [2] },
  ]);
});
