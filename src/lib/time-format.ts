import { say, type Language, type Text } from './language.ts';

/** How moments and lengths of time are written: ISO 8601 in UTC, whole seconds, and "1 h 40 min". */

/** The last moment that has a year of four digits, epoch ms. */
const MAX_MS = Date.UTC(9999, 11, 31);

/**
 * What a person has written into Redis by hand may be no moment: it must not take a whole answer with
 * it. Shown as the nearest one.
 */
export function iso(ms: number): string {
  return new Date(Number.isNaN(ms) ? 0 : Math.min(MAX_MS, Math.max(0, ms))).toISOString();
}

export function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined || Number.isNaN(ms) ? null : iso(ms);
}

const BEIJING_MS = 8 * 3_600_000;

/** Day and time by the clock in Beijing: `2026-01-05`, `11:04:05`. */
export function beijingTime(ms: number): [string, string] {
  const shifted = new Date(ms + BEIJING_MS).toISOString();
  return [shifted.slice(0, 10), shifted.slice(11, 19)];
}

/** Whole seconds, always rounded down: nobody is promised more of a life than is left. */
export function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}

/** Milliseconds. */
const LENGTHS = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };
type Unit = keyof typeof LENGTHS;

const NAMES: Readonly<Record<Unit, Text>> = {
  second: { en: 's', zh: '秒' },
  minute: { en: 'min', zh: '分钟' },
  hour: { en: 'h', zh: '小时' },
  day: { en: 'd', zh: '天' },
};
/** Shorter where hours stand before it. */
const MINUTE_OF_HOUR: Text = { en: 'min', zh: '分' };

/** A length of time in two units at most, rounded down. */
export function duration(ms: number, language: Language): string {
  const length = Math.max(0, ms);
  if (length < 90 * LENGTHS.second) return count(wholes(length, 'second'), 'second', language);
  if (length < 100 * LENGTHS.minute) return count(wholes(length, 'minute'), 'minute', language);
  const [long, short] = length < 2 * LENGTHS.day ? HOURS_AND_MINUTES : DAYS_AND_HOURS;
  const whole = count(wholes(length, long), long, language);
  const rest = wholes(length % LENGTHS[long], short);
  const name = short === 'minute' ? MINUTE_OF_HOUR : NAMES[short];
  return rest === 0 ? whole : `${whole} ${count(rest, short, language, name)}`;
}

const HOURS_AND_MINUTES = ['hour', 'minute'] as const;
const DAYS_AND_HOURS = ['day', 'hour'] as const;

function wholes(ms: number, unit: Unit): number {
  return Math.floor(ms / LENGTHS[unit]) * LENGTHS[unit];
}

/** The same in one unit, whatever its length, and exactly. */
export function count(ms: number, unit: Unit, language: Language, name = NAMES[unit]): string {
  return `${ms / LENGTHS[unit]} ${say(name, language)}`;
}
