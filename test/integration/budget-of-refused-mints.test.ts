import { afterEach, beforeEach, expect, it } from 'vitest';
import { TOKEN } from '../kit/liveness.ts';
import { createTestStore, mintSteps, type TestStore } from '../kit/store.ts';

let store: TestStore;
beforeEach(() => {
  store = createTestStore();
});
afterEach(() => store.close());
const { begin, granted, fail } = mintSteps(() => store, TOKEN);

/** Tries until the budget says no, none of which brings anything. */
async function triesInARow(needed: boolean): Promise<number> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    const request = { needed, ignoreBackoff: true };
    if ((await begin(`try ${tries}`, request)).outcome === 'throttled') return tries;
    await fail(`try ${tries}`);
  }
  throw new Error('the budget never ended');
}

it.each([
  ['when a live value is left', false, 51],
  ['when none is left', true, 291],
])('a mint that WeChat refused costs a tenth of its budget %s', async (_when, needed, tries) => {
  expect(await triesInARow(needed)).toBe(tries);
});

it('an outage with its back-off does not spend the budget', async () => {
  // Near its end a value is tried for every 7.5 to 15 s; hours of that, then WeChat is back.
  for (let tries = 0; tries < 1_000; tries += 1) {
    await granted(`try ${tries}`, { needed: true, ignoreBackoff: true });
    await fail(`try ${tries}`);
    await store.clock.advance(11_250);
  }
  await granted('back', { needed: true, ignoreBackoff: true });
});
