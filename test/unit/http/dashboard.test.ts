import { describe, expect, it } from 'vitest';
import {
  arrivalStrip,
  intervalChart,
  scaleBelow,
  scaleOf,
  spanOf,
} from '../../../src/http/dashboard/charts.ts';
import type { RefusedBy } from '../../../src/store/credentials/refused-by.ts';
import { credentialPanel } from '../../../src/http/dashboard/panels/credential.ts';
import { ticketPanel } from '../../../src/http/dashboard/panels/ticket.ts';
import { cut } from '../../../src/http/dashboard/panels/parts.ts';
import { clockTime, moment, sentence, WORDS, type View } from '../../../src/http/dashboard/view.ts';
import { refreshIntervals, ticketGaps } from '../../../src/status/dashboard.ts';

/** What the dashboard makes of times. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const view = (language: 'en' | 'zh'): View => ({
  language,
  words: WORDS[language],
  now: NOW,
  mayAct: () => false,
});
const textOf = (html: { text: string }) => html.text.replace(/<[^>]*>/g, '');
const DAY = 24 * HOUR;
const SECOND = 1_000;

describe('times in the words of a reader', () => {
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
    obtainedAt: NOW - minutesAgo * MINUTE,
    expiresAt: NOW,
    seq: 1,
    reason,
    replica: 'r1',
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
    expect(scaleOf(day)).toEqual({ top: 1440, unit: 'min' });
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

describe('the span of a chart', () => {
  const FULL = { ms: DAY, steps: 4 };
  const span = (age: number | undefined) =>
    spanOf(age === undefined ? undefined : NOW - age, NOW, FULL, [3, 4, 5]);
  const below = (age: number, language: 'en' | 'zh' = 'en') =>
    [...scaleBelow(view(language), span(age)).text.matchAll(/<span>([^<]*)/g)].map(
      ([, text]) => text,
    );

  it('is the full one where as much is on record, or nothing at all', () => {
    for (const age of [DAY, DAY + 1, 9 * DAY, undefined]) {
      expect(span(age)).toMatchObject({ ms: DAY, young: false });
      expect(span(age).marks).toEqual([24, 18, 12, 6, 0].map((hours) => hours * HOUR));
    }
    expect(span(DAY - MINUTE)).toMatchObject({ ms: DAY, young: false });
  });

  it('holds the first moment of a younger installation, and hardly more, in round steps', () => {
    for (let age = 0; age < DAY; age += Math.max(7 * SECOND, age / 50)) {
      const { ms, marks } = span(age);
      expect(ms).toBeGreaterThanOrEqual(age);
      // A quarter of it is empty at most.
      if (age > MINUTE) expect(age / ms).toBeGreaterThanOrEqual(0.74);
      expect(marks[0]).toBe(ms);
      expect(marks.at(-1)).toBe(0);
      const steps = marks.slice(1).map((mark, index) => (marks[index] ?? 0) - mark);
      expect(new Set(steps).size).toBe(1);
      expect(Number.isInteger((steps[0] ?? NaN) / (5 * SECOND))).toBe(true);
    }
  });

  it('is a minute at least, and of a moment ahead of us, too', () => {
    for (const age of [0, 5 * SECOND, -HOUR]) {
      expect(span(age)).toMatchObject({ ms: MINUTE, young: true });
    }
  });

  it('is labelled in one unit, in the words of the reader', () => {
    expect(below(63 * SECOND)).toEqual([
      ...['75 s ago', '60 s ago', '45 s ago', '30 s ago', '15 s ago', 'now'],
    ]);
    expect(below(38 * MINUTE)).toEqual([
      ...['40 min ago', '30 min ago', '20 min ago', '10 min ago', 'now'],
    ]);
    expect(below(7 * HOUR, 'zh')).toEqual([
      ...['8 小时前', '6 小时前', '4 小时前', '2 小时前', '现在'],
    ]);
    expect(below(9 * DAY)).toEqual(['24 h ago', '18 h ago', '12 h ago', '6 h ago', 'now']);
    const week = spanOf(NOW - 9 * DAY, NOW, { ms: 7 * DAY, steps: 2 }, [2, 3]);
    expect(scaleBelow(view('zh'), week).text).toContain('<span>3.5 天前</span>');
  });

  it('is what a strip is drawn over, from edge to edge', () => {
    const arrivals = [0, 20, 40].map((seconds) => NOW - seconds * SECOND);
    const drawn = arrivalStrip({
      label: '',
      arrivals,
      gaps: [],
      since: NOW - 40 * SECOND,
      now: NOW,
      spanMs: MINUTE,
    }).text;
    expect(drawn).toContain('d="M1440 5V35M960 5V35M480 5V35"');
    expect(drawn).toMatch(/class="blank" width="480"/);
    const whole = { arrivals: [NOW, NOW - MINUTE], since: NOW - MINUTE, spanMs: MINUTE };
    expect(arrivalStrip({ label: '', gaps: [], now: NOW, ...whole }).text).toContain(
      'd="M1440 5V35M0 5V35"',
    );
  });
});

type Shown = Parameters<typeof credentialPanel>[2];
const at = new Date(NOW).toISOString();
const CREDENTIAL = {
  kind: 'component_access_token',
  state: 'fresh',
  reason: 'fresh',
  live: true,
  seq: 1,
  obtained_at: at,
  expires_at: at,
  due_at: at,
  next_refresh_at: at,
  calls_today: 1,
  calls_allowed_a_day: null,
  last_refused: null,
  last_error: null,
  failures_in_a_row: 0,
} as unknown as Shown;

describe('who called a value dead', () => {
  const shown = (by: RefusedBy | undefined, language: 'en' | 'zh') => {
    const refused = { ...CREDENTIAL, last_refused: { at: CREDENTIAL.obtained_at, by: 'as told' } };
    const past = { entries: [], refusedBy: by };
    return credentialPanel(view(language), 'wx1', refused as Shown, past).text;
  };

  it.each([
    [{ caller: 'orders', errcode: 40001 }, 'reported by orders (errcode 40001)'],
    [{ caller: 'orders' }, 'asked for by orders'],
    [{ call: 'pre_auth_code' }, 'as told'],
    [undefined, 'as told'],
  ])('%j is %s', (by, said) =>
    expect(shown(by, 'en')).toContain(`<span class="by">${said}</span>`),
  );

  it('is said in Chinese, too', () => {
    expect(shown({ caller: 'orders', errcode: 40001 }, 'zh')).toContain(
      'orders 报告（错误码 40001）',
    );
    expect(shown({ caller: 'orders' }, 'zh')).toContain('orders 要求刷新');
  });
});

describe('the charts of a young installation', () => {
  const entry = (secondsAgo: number) => ({
    obtainedAt: NOW - secondsAgo * SECOND,
    expiresAt: NOW,
    seq: 1,
    reason: 'cron',
    replica: 'r1',
  });
  const panel = (history: ReturnType<typeof entry>[], language: 'en' | 'zh' = 'en') =>
    credentialPanel(view(language), 'wx1', CREDENTIAL, { entries: history, refusedBy: undefined })
      .text;

  it('are one, of all there is, in seconds where the refreshes are seconds apart', () => {
    const drawn = panel([entry(3), entry(23), entry(43), entry(63)]);
    expect(drawn.match(/class="chart"/g)).toHaveLength(1);
    expect(drawn).toContain('Seconds between refreshes');
    expect(drawn).toContain('<figcaption>since the first value</figcaption>');
    // 75 seconds wide, of which 63 are lived; each bar 20 s high, the whole height.
    expect(drawn).toContain('class="bar" d="M960 100V0M693.3 100V0M426.7 100V0"');
    expect(drawn).toContain('<span>20</span><span>10</span><span>0</span>');
    expect(drawn).not.toMatch(/24 h|7 d/);
    expect(panel([entry(3), entry(23)], 'zh')).toContain('刷新间隔（秒）');
  });

  it('are none before the first refresh: one sentence says so', () => {
    for (const history of [[], [entry(63)]]) {
      expect(panel(history)).toContain('No refresh so far.');
      expect(panel(history)).not.toContain('class="chart"');
    }
  });

  it('are two again after a day, the longer one as long as there are days', () => {
    const days = Array.from({ length: 40 }, (_, index) => entry(index * 2 * 3600));
    const drawn = panel(days);
    expect(drawn.match(/<figcaption>[^<]*/g)).toEqual([
      '<figcaption>24 h',
      '<figcaption>since the first value',
    ]);
    expect(drawn).toContain('<span>4 d ago</span>');
    const week = Array.from({ length: 90 }, (_, index) => entry(index * 2 * 3600));
    expect(panel(week).match(/<figcaption>[^<]*/g)).toEqual([
      '<figcaption>24 h',
      '<figcaption>7 d',
    ]);
  });

  it('do not stretch to what somebody has written into Redis by hand', () => {
    const drawn = panel([entry(-1e9), entry(3), entry(23)]);
    expect(drawn).toContain('<figcaption>since the first value</figcaption>');
    expect(drawn).toContain('<span>60 s ago</span>');
  });

  it('show tickets since the first one, and no strip before it', () => {
    type Component = Parameters<typeof ticketPanel>[1];
    const component = {
      appid: 'wx1',
      ticket: {
        state: 'fresh',
        received_at: at,
        expires_at: at,
        received_count: 3,
        push_asked_for_at: null,
      },
    } as unknown as Component;
    const arrivals = [3, 23, 43].map((seconds) => NOW - seconds * SECOND);
    const drawn = ticketPanel(view('en'), component, arrivals).text;
    expect(drawn).toContain('<figcaption>Arrivals so far</figcaption>');
    expect(drawn).toContain('3 tickets · no gap · on record since 11:03');
    expect(drawn).toContain('<span>60 s ago</span>');
    expect(ticketPanel(view('zh'), component, arrivals).text).toContain('共 3 张票据');
    const none = ticketPanel(view('en'), component, []).text;
    expect(none).toContain('No arrival is on record.');
    expect(none).not.toContain('class="strip"');
    const old = [3, 25 * 60].map((minutes) => NOW - minutes * MINUTE);
    expect(ticketPanel(view('en'), component, old).text).toContain('Arrivals in the last 24 h');
  });
});
