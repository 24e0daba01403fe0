import { describe, expect, it } from 'vitest';
import {
  beijingTime,
  count,
  duration,
  iso,
  isoOrNull,
  seconds,
} from '../../../src/lib/time-format.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('a length of time', () => {
  it.each([
    [-1, '0 s', '0 秒'],
    [89_000, '89 s', '89 秒'],
    [89_999, '89 s', '89 秒'],
    [90_000, '1 min', '1 分钟'],
    [99 * MINUTE, '99 min', '99 分钟'],
    [100 * MINUTE, '1 h 40 min', '1 小时 40 分'],
    [3 * HOUR, '3 h', '3 小时'],
    [49 * HOUR, '2 d 1 h', '2 天 1 小时'],
    [72 * HOUR + MINUTE, '3 d', '3 天'],
  ])('of %d ms is %s, %s', (ms, english, chinese) => {
    expect(duration(ms, 'en')).toBe(english);
    expect(duration(ms, 'zh')).toBe(chinese);
  });

  it('can be told in one unit', () => {
    expect(count(15 * MINUTE, 'minute', 'en')).toBe('15 min');
    expect(count(15 * MINUTE, 'second', 'zh')).toBe('900 秒');
    expect(count(84 * HOUR, 'day', 'zh')).toBe('3.5 天');
  });

  it('is never longer in whole seconds than it is', () => {
    expect([0, 999, 1_000, 1_999].map(seconds)).toEqual([0, 0, 1, 1]);
  });
});

describe('a moment', () => {
  it.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [-1, '1970-01-01T00:00:00.000Z'],
    [NaN, '1970-01-01T00:00:00.000Z'],
    [1e17, '9999-12-31T00:00:00.000Z'],
    [Date.UTC(2026, 0, 5), '2026-01-05T00:00:00.000Z'],
  ])('%d is %s, whatever somebody has written', (ms, text) => expect(iso(ms)).toBe(text));

  it('has a day and a time in Beijing', () => {
    expect(beijingTime(Date.UTC(2026, 0, 5, 16, 4, 5, 999))).toEqual(['2026-01-06', '00:04:05']);
  });

  it('that never was has no text', () => {
    expect([isoOrNull(undefined), isoOrNull(NaN), isoOrNull(0)]).toEqual([null, null, iso(0)]);
  });
});
