import { expect, inject, it } from 'vitest';
import { measureRestoring } from '../kit/restoring.ts';

it('a Redis that has lost 600 authorizers has them all back by itself, each with one call', async () => {
  const measured = await measureRestoring({ url: inject('redisUrl') }, 600);
  expect(measured).toMatchObject({ authorizers: 600, listCalls: 2, tokenCalls: 600 });
  expect(measured.refreshTokensAfter).toBeLessThanOrEqual(20);
  // The tick after that, at the rate for all platforms.
  expect(measured.tokensAfter).toBeLessThanOrEqual(660);
});
