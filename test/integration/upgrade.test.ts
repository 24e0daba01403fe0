import { expect, it } from 'vitest';
import { loadVersion, RELEASED } from '../soak/former.ts';
import { upgrade } from '../upgrade/upgrade.ts';

/** The short form of `npm run test:upgrade`, which passes a day. */

it('0.1.0 and this version work on one Redis for an hour, and nothing is lost', async (context) => {
  const former = await loadVersion(RELEASED).catch((error: unknown) => error as Error);
  if (former instanceof Error) {
    context.skip(former.message);
    return;
  }
  const soak = await upgrade({ former, hours: 1, seed: 4 });
  try {
    expect(soak.judge.violations).toEqual([]);
    expect(soak.judge.reads).toBeGreaterThan(0);
    expect([...soak.faults.values()]).toEqual([1]);
  } finally {
    await soak.station.close();
  }
});
