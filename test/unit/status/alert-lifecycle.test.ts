import { describe, expect, it } from 'vitest';
import { advance, type Entry } from '../../../src/alerts/lifecycle.ts';
import { finding, PROBLEM_CODES, PROBLEMS, type Finding } from '../../../src/status/problems.ts';

const SUBJECT = 'wx0123456789abcdef';
const SECOND = 1_000;
const START = Date.UTC(2026, 10, 21);

/** A history: at each of these seconds, what is wrong; what was told, and when. */
function tell(history: readonly (readonly [number, ...Finding[]])[]): string[] {
  let entries: ReadonlyMap<string, Entry> = new Map();
  return history.flatMap(([second, ...findings]) => {
    const { after, news } = advance(entries, findings, START + second * SECOND);
    entries = after;
    return news.map(({ status, entry }) => `${second} ${entry.finding.code} ${status}`);
  });
}

/** Every 15 s from one second to another. */
function rounds(from: number, to: number, ...findings: Finding[]) {
  const count = Math.floor((to - from) / 15) + 1;
  return Array.from({ length: count }, (_, index) => [from + index * 15, ...findings] as const);
}

const failing = finding('credential_refresh_failing', SUBJECT, { kind: 'component_access_token' });
const dead = finding('credential_dead', SUBJECT, { kind: 'component_access_token' });
const silent = finding('ticket_silent', SUBJECT, { since: START - 1_500 * SECOND });

describe('the life of an alert', () => {
  it.each(PROBLEM_CODES)(
    '%s is told once it has held for its time, unless it is mere info',
    (code) => {
      const { afterSeconds, severity } = PROBLEMS[code];
      const told = tell(rounds(0, 4_500, finding(code, SUBJECT)));
      const first = Math.ceil(afterSeconds / 15) * 15;
      expect(told[0]).toBe(severity === 'info' ? undefined : `${first} ${code} firing`);
    },
  );

  it('has patience with what is seen for the first time, however long ago it began', () => {
    // Due nine minutes ago, and tried at this tick for the first time.
    const known = { ...failing, since: START - 540 * SECOND };
    expect(tell([...rounds(0, 45, known), ...rounds(60, 300)])).toEqual([]);
    expect(tell(rounds(0, 300, known))).toEqual(['120 credential_refresh_failing firing']);
  });

  it('keeps the moment at which it began, where that is known', () => {
    const since = START - 540 * SECOND;
    const { after } = advance(new Map(), [{ ...failing, since }], START);
    const [later] = advance(after, [failing], START + 120 * SECOND).news;
    expect(later).toMatchObject({ status: 'firing', entry: { since } });
  });

  it('begins, is recalled and ends by a clock that was set back, too', () => {
    const hour = 3_600;
    const told = tell([
      [100 * hour, failing],
      // From here on the clock is right.
      ...rounds(0, 2 * hour, failing),
      ...rounds(2 * hour + 15, 2 * hour + 90),
    ]);
    expect(told).toEqual([
      '120 credential_refresh_failing firing',
      `${120 + hour} credential_refresh_failing reminder`,
      `${2 * hour + 75} credential_refresh_failing resolved`,
    ]);
    const late = tell([
      [100 * hour, silent],
      ...rounds(0, 2 * hour, silent),
      [1_000 * hour],
      ...rounds(3 * hour, 3 * hour + 90),
    ]);
    expect(late).toEqual([
      `${100 * hour} ticket_silent firing`,
      `${hour} ticket_silent reminder`,
      `${3 * hour + 60} ticket_silent resolved`,
    ]);
  });

  it('does not begin by a failure that heals in time', () => {
    expect(tell([...rounds(0, 105, failing), ...rounds(120, 300)])).toEqual([]);
  });

  it('is told again after 1 h, 4 h and each day, to the round', () => {
    const told = tell(rounds(0, 73 * 3_600, silent));
    const hours = told.slice(1).map((one) => Number(one.split(' ')[0]) / 3_600);
    expect(told[0]).toBe('0 ticket_silent firing');
    expect(hours).toEqual([1, 4, 24, 48, 72]);
    expect(told.slice(1).every((one) => one.endsWith('reminder'))).toBe(true);
  });

  it('is told once for all reminders that nobody could send', () => {
    expect(
      tell([
        [0, silent],
        [50 * 3_600, silent],
        [50 * 3_600 + 15, silent],
        [72 * 3_600, silent],
      ]),
    ).toEqual([
      '0 ticket_silent firing',
      `${50 * 3_600} ticket_silent reminder`,
      `${72 * 3_600} ticket_silent reminder`,
    ]);
  });

  it('is told at once when it becomes graver, and reminders begin anew; not when it becomes lighter', () => {
    const grave = { ...silent, severity: 'critical' } as const;
    const told = tell([
      ...rounds(0, 1_800, silent),
      ...rounds(1_815, 6_000, grave),
      ...rounds(6_015, 7_500, silent),
    ]);
    expect(told).toEqual([
      '0 ticket_silent firing',
      '1815 ticket_silent firing',
      `${1_815 + 3_600} ticket_silent reminder`,
    ]);
  });

  it('ends once it has been gone for a minute, with the moment at which it went', () => {
    const { after } = advance(new Map(), [silent], START);
    const gone = advance(after, [], START + 15 * SECOND);
    expect(gone.news).toEqual([]);
    const early = advance(gone.after, [], START + 74 * SECOND);
    expect(early.news).toEqual([]);
    const { news, after: none } = advance(early.after, [], START + 75 * SECOND);
    expect(news).toMatchObject([{ status: 'resolved', entry: { goneAt: START + 15 * SECOND } }]);
    expect(none.size).toBe(0);
  });

  it('is the same one when it comes back within a minute, told or not', () => {
    const flapping = rounds(0, 600).map(([second]) =>
      second % 45 === 0 ? ([second, failing] as const) : ([second] as const),
    );
    expect(tell(flapping)).toEqual(['135 credential_refresh_failing firing']);
  });

  it('is not over when it turns into something as grave of the same family', () => {
    const told = tell([
      ...rounds(0, 300, failing),
      ...rounds(315, 10_000, dead),
      ...rounds(10_015, 10_100),
    ]);
    // Each once, a reminder of what stands, and both ends together.
    expect(told).toEqual([
      '120 credential_refresh_failing firing',
      '375 credential_dead firing',
      `${375 + 3_600} credential_dead reminder`,
      expect.stringContaining('credential_dead resolved'),
      expect.stringContaining('credential_refresh_failing resolved'),
    ]);
  });

  it('is over when it turns into something lighter, or something of another kind goes on', () => {
    const other = { ...dead, kind: 'pre_auth_code' };
    const lighter = tell([...rounds(0, 300, dead), ...rounds(315, 450, failing)]);
    expect(lighter).toContain('375 credential_dead resolved');
    const another = tell([...rounds(0, 300, failing), ...rounds(315, 450, other)]);
    expect(another).toContain('375 credential_refresh_failing resolved');
  });

  it('keeps what is wrong with different subjects, kinds and replicas apart', () => {
    const lost = (kind: string) => finding('replica_lost', null, { kind });
    const told = tell([
      [0, lost('a')],
      [15, lost('a'), lost('b')],
      [30, lost('b')],
      [90, lost('b')],
    ]);
    expect(told).toEqual([
      '0 replica_lost firing',
      '15 replica_lost firing',
      '90 replica_lost resolved',
    ]);
  });
});
