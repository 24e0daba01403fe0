import { describe, expect, it } from 'vitest';
import { intervalChart, scaleOf } from '../../../src/http/dashboard/charts.ts';
import { cut } from '../../../src/http/dashboard/panels/parts.ts';
import {
  clockTime,
  duration,
  moment,
  sentence,
  WORDS,
  type View,
} from '../../../src/http/dashboard/view.ts';
import { refreshIntervals, ticketGaps } from '../../../src/status/dashboard.ts';

/** What the dashboard makes of times. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const view = (language: 'en' | 'zh'): View => ({
  ...{ language, words: WORDS[language], now: NOW },
  mayAct: () => false,
});
const textOf = (html: { text: string }) => html.text.replace(/<[^>]*>/g, '');

describe('times in the words of a reader', () => {
  it.each([
    [-1, '0 s', '0 秒'],
    [89_000, '89 s', '89 秒'],
    [90_000, '1 min', '1 分钟'],
    [99 * MINUTE, '99 min', '99 分钟'],
    [100 * MINUTE, '1 h 40 min', '1 小时 40 分'],
    [3 * HOUR, '3 h', '3 小时'],
    [49 * HOUR, '2 d 1 h', '2 天 1 小时'],
  ])('%d ms are %s, %s', (ms, english, chinese) => {
    expect(duration(WORDS.en, ms)).toBe(english);
    expect(duration(WORDS.zh, ms)).toBe(chinese);
  });

  it('tell before from after, with the exact time to look up', () => {
    expect(textOf(moment(view('en'), NOW + 12 * MINUTE))).toBe('in 12 min');
    expect(textOf(moment(view('zh'), NOW - 3 * HOUR))).toBe('3 小时前');
    expect(textOf(moment(view('en'), NOW + 500))).toBe('now');
    const { text } = moment(view('en'), '2026-01-02T00:00:00.000Z');
    expect(text).toContain('datetime="2026-01-02T00:00:00.000Z"');
    expect(text).toContain('2026-01-02 08:00:00 Beijing time');
    expect(textOf(clockTime(view('en'), NOW))).toBe('11:04:05');
    expect(textOf(clockTime(view('en'), NOW - 20 * HOUR))).toBe('01-01 15:04:05');
  });

  it('survive what is no time', () => {
    for (const odd of [NaN, 9e17, -9e17, 'x', null, undefined]) {
      expect(textOf(moment(view('en'), odd))).toBe('never');
    }
    expect(textOf(clockTime(view('zh'), 9e17))).toBe('未知');
  });
});

describe('texts of others', () => {
  it('have their times as a clock shows them, and are escaped', () => {
    const said = sentence(
      view('en'),
      'dead since 2026-01-02T00:00:00.000Z & <b> 2026-99-99T00:00:00Z',
    );
    expect(textOf(said)).toBe('dead since 08:00:00 &amp; &lt;b&gt; 2026-99-99T00:00:00Z');
  });

  it('are cut between letters, not through one', () => {
    expect(cut('晨光文具', 4)).toBe('晨光文具');
    expect(cut('晨光文具店', 4)).toBe('晨光文…');
    expect(cut('ab😀cd', 4)).toBe('ab…');
    expect(cut('ab😀cd', 5)).toBe('ab😀…');
  });
});

describe('gaps between tickets', () => {
  const ago = (...minutes: number[]) => minutes.map((one) => NOW - one * MINUTE);

  it('are those of more than two pushes, up to now', () => {
    expect(ticketGaps(ago(3, 13, 38, 48), NOW).gaps).toEqual([]);
    expect(ticketGaps(ago(3, 13, 39, 49), NOW).gaps).toEqual([
      { from: NOW - 39 * MINUTE, to: NOW - 13 * MINUTE },
    ]);
    expect(ticketGaps(ago(26), NOW).gaps).toEqual([{ from: NOW - 26 * MINUTE, to: NOW }]);
  });

  it('begin a day ago at most, and before the first arrival nothing is known', () => {
    const day = NOW - 24 * HOUR;
    expect(ticketGaps(ago(26 * 60), NOW)).toEqual({ gaps: [{ from: day, to: NOW }], since: day });
    expect(ticketGaps(ago(5), NOW)).toEqual({ gaps: [], since: NOW - 5 * MINUTE });
    expect(ticketGaps([], NOW)).toEqual({ gaps: [], since: NOW });
  });
});

describe('intervals between refreshes', () => {
  const entry = (minutesAgo: number, reason = 'cron') => ({
    ...{ obtainedAt: NOW - minutesAgo * MINUTE, expiresAt: NOW, seq: 1 },
    ...{ reason, replica: 'r1' },
  });

  it('belong to the later of two refreshes, and to the time that is asked for', () => {
    const entries = [entry(5, 'refused'), entry(115), entry(225), entry(24 * 60 + 10)];
    const day = refreshIntervals(entries, NOW, 24 * HOUR);
    expect(day.map(({ minutes, reason }) => [minutes, reason])).toEqual([
      [110, 'refused'],
      [110, 'cron'],
      [1225, 'cron'],
    ]);
    expect(refreshIntervals(entries, NOW, 2 * HOUR)).toHaveLength(2);
    expect(refreshIntervals([entry(5)], NOW, HOUR)).toEqual([]);
    expect(scaleOf(day)).toBe(1440);
  });

  it('are bars, dots when there are many, and marked when nobody had planned them', () => {
    const draw = (count: number) => {
      const entries = Array.from({ length: count + 1 }, (_, index) =>
        entry(index, index === 0 ? 'forced' : 'cron'),
      );
      const intervals = refreshIntervals(entries, NOW, HOUR);
      return intervalChart({ label: '', intervals, now: NOW, spanMs: HOUR, max: 2 }).text;
    };
    expect(draw(2)).toMatch(/class="bar" d="M983.3 100V50"/);
    expect(draw(2)).toMatch(/class="bar early" d="M1000 100V50"/);
    expect(draw(41)).toMatch(/class="dot early" d="M1000 50h0"/);
  });
});
