import { describe, expect, it } from 'vitest';
import { codeExpiry } from '../../../src/callbacks/handlers/authorized.ts';

const CREATED = Date.UTC(2026, 10, 21, 8, 0, 0);
const UNIX = CREATED / 1000;
const DEFAULT = 600;
const LONGEST = 7200;

/** WeChat's page says that it is a duration, and its pushes carry a moment. */
describe('AuthorizationCodeExpiredTime', () => {
  it.each<[string, string | undefined, number]>([
    ['a moment, as real pushes have it', String(UNIX + 600), 600],
    ['a moment sooner than usual', String(UNIX + 90), 90],
    ['a moment an hour ahead', String(UNIX + 3600), 3600],
    ['a moment a year ahead', String(UNIX + 365 * 86_400), LONGEST],
    ['a moment that is over', String(UNIX - 1), DEFAULT],
    ['the very moment of the event', String(UNIX), DEFAULT],
    ['a moment of 2014, as in the sample of the page', '1413192605', DEFAULT],
    ['a moment in milliseconds', String(CREATED + 600_000), DEFAULT],
    ['a moment in microseconds', `${CREATED}000`, DEFAULT],
    ['a duration, as the page has it', '600', 600],
    ['a short duration', '1', 1],
    ['a longer duration', '1800', 1800],
    ['a duration of a day', '86400', LONGEST],
    ['the largest duration', '1000000000', LONGEST],
    ['zero', '0', DEFAULT],
    ['a negative number', '-600', DEFAULT],
    ['a fraction', '600.5', DEFAULT],
    ['an exponent', '6e2', DEFAULT],
    ['hexadecimal', '0x258', DEFAULT],
    ['with a space', ' 600', DEFAULT],
    ['words', 'ten minutes', DEFAULT],
    ['nothing', '', DEFAULT],
    ['not there', undefined, DEFAULT],
  ])('%s: %s', (_what, stated, seconds) => {
    expect(codeExpiry(stated, CREATED)).toBe(CREATED + seconds * 1000);
  });
});
