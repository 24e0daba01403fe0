import { validate as isCron } from 'node-cron';
import { describe, expect, it } from 'vitest';
import {
  chooseScale,
  DIVISORS,
  expectations,
  scaleBy,
  shortcomings,
} from '../../../../src/sandbox/demo/scale.ts';

describe('the pace of the demo', () => {
  it('divides two hours to a minute unless told otherwise', () => {
    expect(chooseScale(undefined)).toEqual({
      divisor: 120,
      ticketSeconds: 5,
      tokenSeconds: 60,
      codeSeconds: 15,
      windowSeconds: 8,
      cron: '*/5 * * * * *',
    });
  });

  it.each([
    [20, 300],
    [60, 300],
    [125, 300],
    [126, 120],
    [86_400, 120],
  ])('for %i s divides by %i', (seconds, divisor) => {
    expect(chooseScale(seconds).divisor).toBe(divisor);
  });

  it.each([
    [1, '*/10 * * * *'],
    [2, '*/5 * * * *'],
    [10, '* * * * *'],
    [20, '*/30 * * * * *'],
    [300, '*/2 * * * * *'],
    [600, '* * * * * *'],
  ])('divided by %i ticks at %s', (divisor, cron) => {
    expect(scaleBy(divisor).cron).toBe(cron);
  });

  it.each(DIVISORS)('works when divided by %i', (divisor) => {
    const scale = scaleBy(divisor);
    expect(isCron(scale.cron)).toBe(true);
    // expires_in is whole seconds, and so is the setting.
    for (const seconds of [scale.tokenSeconds, scale.codeSeconds, scale.windowSeconds]) {
      expect(Number.isInteger(seconds)).toBe(true);
    }
    // At least one tick falls between the beginning of the window and the end of the code.
    const tickSeconds = scale.ticketSeconds;
    expect(Math.min(scale.windowSeconds, scale.codeSeconds / 2)).toBeGreaterThan(tickSeconds);
  });
});

describe('what a run has to show', () => {
  it('is everything after a minute at the quick pace', () => {
    expect(expectations(scaleBy(300), 60)).toEqual({ tickets: 3, tokenMints: 3, codeMints: 3 });
    expect(shortcomings(scaleBy(300), 60)).toBeUndefined();
  });

  it('is never more than fits into it', () => {
    expect(expectations(scaleBy(300), 20)).toEqual({ tickets: 3, tokenMints: 1, codeMints: 3 });
    expect(expectations(scaleBy(1), 20)).toEqual({ tickets: 1, tokenMints: 1, codeMints: 1 });
    for (const divisor of DIVISORS) {
      for (let seconds = 20; seconds < 300; seconds += 1) {
        const scale = scaleBy(divisor);
        const { tickets, tokenMints, codeMints } = expectations(scale, seconds);
        expect((tickets - 1) * scale.ticketSeconds).toBeLessThanOrEqual(seconds);
        expect((tokenMints - 1) * scale.tokenSeconds).toBeLessThanOrEqual(seconds);
        expect((codeMints - 1) * scale.codeSeconds).toBeLessThanOrEqual(seconds);
      }
    }
  });

  it('says what is left out, and how long a run would have to be', () => {
    const said = shortcomings(scaleBy(300), 30) ?? '';
    expect(said).toContain('component_access_token refreshed more than once');
    expect(said).not.toContain('pre_auth_code');
    const [, needed = ''] = /--seconds (\d+)/.exec(said) ?? [];
    expect(shortcomings(scaleBy(300), Number(needed))).toBeUndefined();
    expect(shortcomings(scaleBy(300), Number(needed) - 1)).toBeDefined();
  });
});
