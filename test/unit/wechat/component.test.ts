import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLife } from '../../../src/wechat/token-answer.ts';

describe('reading expires_in', () => {
  it.each([
    { given: 7200, life: 7200, assumed: false },
    { given: 1, life: 1, assumed: false },
    { given: 1800, life: 1800, assumed: false },
    { given: '7200', life: 7200, assumed: false },
    { given: '0600', life: 600, assumed: false },
    // Longer than documented is not believed, and worth a word in the log.
    { given: 7201, life: 7200, assumed: true },
    { given: 1e9, life: 7200, assumed: true },
    { given: '999999999', life: 7200, assumed: true },
    { given: 0, life: 600, assumed: true },
    { given: '0', life: 600, assumed: true },
    { given: -7200, life: 600, assumed: true },
    { given: '-7200', life: 600, assumed: true },
    { given: 1.5, life: 600, assumed: true },
    { given: '7200.0', life: 600, assumed: true },
    { given: '1e3', life: 600, assumed: true },
    { given: ' 7200', life: 600, assumed: true },
    { given: '7200\n', life: 600, assumed: true },
    { given: '', life: 600, assumed: true },
    { given: '9999999999', life: 600, assumed: true },
    { given: Number.NaN, life: 600, assumed: true },
    { given: Number.POSITIVE_INFINITY, life: 600, assumed: true },
    { given: true, life: 600, assumed: true },
    { given: null, life: 600, assumed: true },
    { given: undefined, life: 600, assumed: true },
    { given: [7200], life: 600, assumed: true },
    { given: {}, life: 600, assumed: true },
  ])('takes $given for a life of $life s', ({ given, life, assumed }) => {
    expect(readLife(given, 7200)).toEqual({ lifeSeconds: life, lifeAssumed: assumed });
  });

  it('assumes no more than is documented, however short that is', () => {
    expect(readLife(undefined, 300)).toEqual({ lifeSeconds: 300, lifeAssumed: true });
    expect(readLife(1800, 300)).toEqual({ lifeSeconds: 300, lifeAssumed: true });
  });

  const anyLife = fc.oneof(
    fc.anything(),
    fc.integer(),
    fc.double(),
    fc.integer().map(String),
    fc.double().map(String),
    fc.stringMatching(/^\s?[-+]?\d{0,12}(\.\d)?$/),
  );

  it('gives whole seconds from 1 to the documented life, whatever WeChat writes', () => {
    fc.assert(
      fc.property(anyLife, fc.integer({ min: 1, max: 7200 }), (expiresIn, known) => {
        const { lifeSeconds } = readLife(expiresIn, known);
        expect(Number.isInteger(lifeSeconds)).toBe(true);
        expect(lifeSeconds).toBeGreaterThanOrEqual(1);
        expect(lifeSeconds).toBeLessThanOrEqual(known);
      }),
      { numRuns: 1_000 },
    );
  });

  it('believes every documented life, as a number and as its decimal text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7200 }), (seconds) => {
        const believed = { lifeSeconds: seconds, lifeAssumed: false };
        expect(readLife(seconds, 7200)).toEqual(believed);
        expect(readLife(String(seconds), 7200)).toEqual(believed);
      }),
    );
  });
});
