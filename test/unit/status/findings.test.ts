import { describe, expect, it } from 'vitest';
import {
  credentialFindings,
  previousSecretFindings,
  selfTestFindings,
  ticketFindings,
  ticketState,
  type CredentialHealth,
} from '../../../src/status/rules.ts';
import { finding, identityOf, PROBLEMS, rankFindings } from '../../../src/status/problems.ts';
import {
  flowOf,
  flowOfAll,
  pointingAt,
  refusedFindings,
} from '../../../src/status/refused-pushes.ts';
import { describeReplicas, replicaFindings } from '../../../src/status/replicas.ts';
import type { RefusedPushes } from '../../../src/store/tickets/refused-pushes.ts';
import { describeProblem } from '../../../src/status/wording.ts';
import type { Replica } from '../../../src/store/operations/replicas.ts';
import type { SelfTest } from '../../../src/store/redis/self-test.ts';

const COMPONENT = 'wx0123456789abcdef';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 0, 5, 3);
const iso = (ms: number) => new Date(ms).toISOString();

describe('a credential that is not refreshed', () => {
  const health: CredentialHealth = {
    kind: 'component_access_token',
    state: 'due',
    failures_in_a_row: 3,
    due_at: iso(NOW - 5 * MINUTE),
    expires_at: iso(NOW + 10 * MINUTE),
    last_error: null,
    calls_today: 0,
    calls_allowed_a_day: null,
    quarantined_until: null,
    last_refused: null,
    foreign_refresher_since: null,
  };
  const failed = (cls: string, errcode?: number, fault = '') => ({
    class: cls,
    api: 'api',
    fault,
    message: 'text',
    advice: 'do',
    ...(errcode === undefined ? {} : { errcode }),
  });

  it.each([
    ['address_not_whitelisted', 'critical', failed('config', 61004)],
    ['address_not_whitelisted', 'critical', failed('config', 40164)],
    ['secret_refused', 'critical', failed('config', 40001)],
    ['secret_refused', 'critical', failed('config', 40125)],
    ['quota_exhausted', 'critical', failed('quota', 45009)],
    ['wechat_unreachable', 'warning', failed('retry', undefined, 'timeout')],
    ['wechat_unreachable', 'warning', failed('retry', undefined, 'unreachable')],
    ['credential_refresh_failing', 'warning', failed('retry', undefined, 'bad_body')],
    ['credential_refresh_failing', 'warning', failed('retry', -1)],
    // A dead parent token is no wrong secret.
    ['credential_refresh_failing', 'warning', failed('token', 40001)],
    // wxkeeper's own budget.
    ['credential_refresh_failing', 'warning', failed('quota')],
  ] as const)('is %s, %s, after %j', (code, severity, lastError) => {
    const found = credentialFindings(COMPONENT, { ...health, last_error: lastError });
    const rule = PROBLEMS[code];
    expect(rule.severity).toBe(severity);
    expect(found).toMatchObject([{ code, severity, since: NOW - 5 * MINUTE, subject: COMPONENT }]);
  });

  it('is graver when it is about to end, and when it has ended', () => {
    const last_error = failed('retry', undefined, 'timeout');
    const urgent = { ...health, state: 'urgent', last_error } as const;
    expect(credentialFindings(COMPONENT, urgent)).toMatchObject([
      { code: 'wechat_unreachable', severity: 'critical' },
    ]);
    expect(PROBLEMS.wechat_unreachable.escalates).toBe(true);
    const expired = { ...health, state: 'expired', expires_at: iso(NOW - MINUTE) } as const;
    expect(credentialFindings(COMPONENT, { ...expired, last_error: null })).toMatchObject([
      { code: 'credential_dead', severity: 'critical', since: NOW - MINUTE },
    ]);
  });

  it('has not begun in the future when it is tried before it is due', () => {
    const at = iso(NOW - MINUTE);
    const last_error = { ...failed('retry', -1), at };
    const refused = { ...health, due_at: iso(NOW + HOUR), last_error } as const;
    expect(credentialFindings(COMPONENT, refused)).toMatchObject([{ since: NOW - MINUTE }]);
    expect(credentialFindings(COMPONENT, { ...health, last_error })).toMatchObject([
      { since: NOW - 5 * MINUTE },
    ]);
  });

  it('is nothing while it is fresh, nor when a code was handed out', () => {
    const well = { ...health, failures_in_a_row: 0, last_error: failed('retry', -1) };
    expect(credentialFindings(COMPONENT, { ...well, state: 'fresh' })).toEqual([]);
    const code = { ...well, kind: 'pre_auth_code', state: 'missing' } as const;
    expect(credentialFindings(COMPONENT, code)).toEqual([]);
  });
});

describe('tickets that stay away', () => {
  const ticket = (receivedAt: number) => ({
    ticket: 't',
    createTime: receivedAt,
    receivedAt,
    expiresAt: receivedAt + 12 * HOUR,
    previousTicket: undefined,
    previousExpiresAt: 0,
    refused: undefined,
    pushAskedAt: undefined,
    count: 1,
  });
  const found = (ageMs: number) => {
    const one = ticket(NOW - ageMs);
    return ticketFindings(COMPONENT, ticketState(one, NOW), one, NOW);
  };

  it.each([
    [25 * MINUTE, []],
    [25 * MINUTE + 1, [{ code: 'ticket_silent', severity: 'warning' }]],
    [60 * MINUTE + 1, [{ code: 'ticket_silent', severity: 'critical' }]],
    [12 * HOUR, [{ code: 'ticket_expired', severity: 'critical', since: NOW }]],
  ])('for %d ms', (age, expected) => {
    expect(found(age)).toMatchObject(expected);
    expect(found(age)).toHaveLength(expected.length);
  });

  it('are missed no less because WeChat refuses the newest one', () => {
    const refused = (ageMs: number) => {
      const one = { ...ticket(NOW - ageMs), refused: 'newest' as const };
      const codes = ticketFindings(COMPONENT, ticketState(one, NOW), one, NOW);
      return codes.map(({ code, severity }) => `${code} ${severity}`);
    };
    expect(refused(25 * MINUTE)).toEqual(['ticket_refused warning']);
    expect(refused(60 * MINUTE + 1)).toEqual(['ticket_refused warning', 'ticket_silent critical']);
    expect(refused(12 * HOUR)).toEqual(['ticket_expired critical']);
  });
});

describe('the previous key', () => {
  const found = (
    keySet: boolean,
    keyAgeMs: number | undefined,
    more: { tokenSet?: boolean; tokenAgeMs?: number } = {},
  ) =>
    previousSecretFindings(
      COMPONENT,
      {
        keySet,
        keyAt: keyAgeMs === undefined ? undefined : NOW - keyAgeMs,
        tokenSet: more.tokenSet ?? false,
        tokenAt: more.tokenAgeMs === undefined ? undefined : NOW - more.tokenAgeMs,
      },
      NOW,
    ).map(({ code }) => code);

  it('must stay while pushes use it, and may go after a day without', () => {
    expect(found(true, MINUTE)).toEqual(['previous_key_in_use']);
    expect(found(true, 24 * HOUR - 1)).toEqual(['previous_key_in_use']);
    expect(found(true, 24 * HOUR)).toEqual([]);
    expect(found(true, undefined)).toEqual([]);
  });

  it('was dropped too early when a push used it within the last hour', () => {
    expect(found(false, MINUTE)).toEqual(['previous_key_dropped']);
    expect(found(false, HOUR)).toEqual([]);
  });

  it('is a token or an AES key, each by itself', () => {
    expect(found(true, 30 * HOUR, { tokenSet: true, tokenAgeMs: MINUTE })).toEqual([
      'previous_key_in_use',
    ]);
    expect(found(true, MINUTE, { tokenSet: false, tokenAgeMs: MINUTE })).toEqual([
      'previous_key_in_use',
      'previous_key_dropped',
    ]);
  });
});

describe('several findings', () => {
  it('come gravest first, causes before what comes of them', () => {
    const ranked = rankFindings([
      finding('clock_skew', null),
      finding('credential_dead', COMPONENT, { kind: 'pre_auth_code' }),
      finding('ticket_expired', COMPONENT),
      finding('ticket_silent', COMPONENT, { severity: 'critical' }),
      finding('redis_was_restarted', COMPONENT),
    ]);
    expect(ranked.map(({ code }) => code)).toEqual([
      'ticket_expired',
      'credential_dead',
      'ticket_silent',
      'clock_skew',
      'redis_was_restarted',
    ]);
    // A wrong clock and a lost key refuse pushes, so that tickets stay away.
    const effects = rankFindings([
      finding('ticket_silent', COMPONENT),
      finding('clock_skew', null),
      finding('previous_key_dropped', COMPONENT),
    ]);
    expect(effects.map(({ code }) => code)).toEqual([
      'clock_skew',
      'previous_key_dropped',
      'ticket_silent',
    ]);
  });

  it('of one cause are one, as grave as the gravest and as old as the oldest', () => {
    const found = (kind: string, more: object) =>
      finding('wechat_unreachable', COMPONENT, { kind, facts: { state: 'due' }, ...more });
    const ranked = rankFindings([
      found('component_access_token', { since: 7 }),
      found('pre_auth_code', { since: 9, severity: 'critical', facts: { state: 'expired' } }),
    ]);
    expect(ranked).toMatchObject([
      {
        severity: 'critical',
        since: 7,
        kind: 'pre_auth_code, component_access_token',
        facts: { state: 'expired' },
      },
    ]);
  });

  it('of different credentials stay apart otherwise', () => {
    const two = ['access_token', 'jsapi_ticket'].map((kind) =>
      finding('credential_dead', COMPONENT, { kind }),
    );
    expect(new Set(two.map(identityOf)).size).toBe(2);
    expect(rankFindings(two)).toHaveLength(2);
  });
});

describe('replicas', () => {
  const replica = (id: string, more: Partial<Replica>): Replica => ({
    id,
    host: 'h',
    version: '1',
    startedAt: NOW - HOUR,
    seenAt: NOW,
    stoppedAt: undefined,
    ...more,
  });
  const states = (...replicas: Replica[]) =>
    Object.fromEntries(describeReplicas(replicas, NOW).map(({ id, state }) => [id, state]));

  it('are lost when they go without a word, a minute after their last one', () => {
    const late = replica('late', { seenAt: NOW - MINUTE });
    const lost = replica('lost', { seenAt: NOW - MINUTE - 1 });
    const gone = replica('gone', { seenAt: NOW - HOUR, stoppedAt: NOW - HOUR });
    expect(states(late, lost, gone)).toEqual({ late: 'running', lost: 'lost', gone: 'stopped' });
    expect(replicaFindings([late, lost, gone], NOW)).toMatchObject([
      { code: 'replica_lost', kind: 'lost', since: lost.seenAt },
    ]);
  });

  it('are replaced by one that starts later, each by one of its own', () => {
    const first = replica('first', { seenAt: NOW - 30 * MINUTE });
    const second = replica('second', { seenAt: NOW - 20 * MINUTE });
    const heir = replica('heir', { startedAt: NOW - 10 * MINUTE });
    expect(states(first, second, heir)).toMatchObject({ first: 'replaced', second: 'lost' });
    const other = replica('other', { startedAt: NOW - 5 * MINUTE });
    expect(replicaFindings([first, second, heir, other], NOW)).toEqual([]);
    // The later one can only have come for the later loss, in whatever order they are listed.
    const between = replica('between', { startedAt: NOW - 25 * MINUTE });
    expect(replicaFindings([other, between, second, first], NOW)).toEqual([]);
  });

  it('are missed by those only who have been there for half a minute themselves', () => {
    const lost = replica('lost', { seenAt: NOW - 5 * MINUTE });
    const back = (ms: number) => replica('back', { watchingSince: NOW - ms });
    expect(replicaFindings([lost], NOW)).toEqual([]);
    expect(replicaFindings([lost, back(MINUTE / 2 - 1)], NOW)).toEqual([]);
    expect(replicaFindings([lost, back(MINUTE / 2)], NOW)).toHaveLength(1);
    const asleep = replica('asleep', { seenAt: NOW - 5 * MINUTE });
    expect(replicaFindings([lost, asleep], NOW)).toEqual([]);
    expect(states(lost, back(0))).toMatchObject({ lost: 'lost' });
  });

  it('that die in the moment of their start do not replace themselves', () => {
    const brief = replica('brief', { startedAt: NOW - HOUR, seenAt: NOW - HOUR });
    expect(states(brief)).toEqual({ brief: 'lost' });
  });
});

describe('refused pushes', () => {
  const refused = (more: Partial<RefusedPushes>): RefusedPushes => ({
    url: 'event',
    reason: 'form',
    total: 5,
    row: 5,
    beside: [],
    signed: 'yes',
    since: NOW - MINUTE,
    at: NOW,
    path: '/callback',
    address: '',
    detail: '',
    ...more,
  });
  const accepting = (event?: number, message?: number) => flowOf({ event, message }, NOW);
  const flowing = accepting(NOW - 5 * MINUTE);
  const found = (
    rows: readonly RefusedPushes[],
    flow = flowing,
    component: string | null = COMPONENT,
  ) =>
    refusedFindings(component, rows, flow, NOW).map(({ severity, kind, facts }) =>
      [severity, kind, facts.reason, facts.count].join(' '),
    );

  it('are a finding from three in a row on, for each URL, under the gravest reason', () => {
    expect(found([refused({ row: 2 })])).toEqual([]);
    expect(found([refused({ row: 3 })])).toEqual(['warning event form 3']);
    expect(found([refused({ row: 2 }), refused({ row: 1, reason: 'path' })])).toEqual([
      'warning event form 3',
    ]);
    expect(
      found([
        refused({ row: 500, reason: 'bad_signature', signed: 'no' }),
        refused({ row: 9, reason: 'bad_signature', url: 'message', signed: 'no' }),
        refused({ row: 2, reason: 'aes_key' }),
        refused({ row: 1, reason: 'unreadable' }),
      ]),
    ).toEqual(['critical event aes_key 3', 'info message bad_signature 9']);
    // All are counted where neither are enough by themselves.
    expect(found([refused({ row: 2, reason: 'aes_key' }), refused({ row: 1 })])).toEqual([
      'critical event aes_key 3',
    ]);
  });

  it("are as grave as it is certain that they are WeChat's, and that nothing else arrives", () => {
    const noise = refused({ signed: 'no' });
    const lasting = { since: NOW - 20 * MINUTE };
    const silent = accepting(NOW - 16 * MINUTE);
    for (const [row, flow, severity] of [
      [refused({ reason: 'clock' }), flowing, 'critical'],
      [refused({ reason: 'clear_mode' }), flowing, 'warning'],
      [refused({ reason: 'bad_signature' }), flowing, 'info'],
      [refused({ reason: 'bad_signature' }), silent, 'warning'],
      [refused({ reason: 'bad_signature', ...lasting }), silent, 'critical'],
      [refused({ reason: 'bad_signature', url: 'message', ...lasting }), silent, 'warning'],
      [noise, flowing, 'info'],
      [{ ...noise, ...lasting }, flowing, 'info'],
      [noise, accepting(), 'warning'],
    ] as const) {
      expect(found([row], flow)[0]?.split(' ')[0]).toBe(severity);
    }
  });

  it('end with an accepted push at that URL, or after half an hour', () => {
    const earlier = { at: NOW - MINUTE };
    expect(found([refused(earlier)], accepting(NOW - MINUTE + 1))).toEqual([]);
    expect(found([refused(earlier)], accepting(NOW - 2 * MINUTE, NOW))).toHaveLength(1);
    expect(found([refused({ at: NOW - 31 * MINUTE })])).toEqual([]);
    // Written by a clock that was wrong.
    expect(found([refused({ at: NOW + HOUR })])).toEqual([]);
  });

  it('at no URL of ours end with what did not arrive beside them', () => {
    const astray = refused({ url: 'other', reason: 'path', at: NOW - MINUTE });
    expect(found([astray], accepting(NOW))).toEqual([]);
    expect(found([{ ...astray, beside: ['event'] }], accepting(NOW))).toHaveLength(1);
    expect(found([{ ...astray, beside: ['event'] }], accepting(NOW, NOW))).toEqual([]);
    const stranger = refused({ reason: 'unknown_component', at: NOW - MINUTE });
    const all = flowOfAll([accepting(NOW - 2 * MINUTE, NOW), accepting()]);
    expect(found([stranger], all, null)).toEqual(['warning event unknown_component 5']);
    expect(found([{ ...stranger, url: 'message' }], all, null)).toEqual([]);
  });

  it('are named by what comes of them, unless they are noise', () => {
    const silent = finding('ticket_silent', COMPONENT, { facts: { minutes: 30 } });
    const behind = finding('authorizers_behind', COMPONENT);
    const because = (rows: readonly RefusedPushes[], flow = flowing) =>
      pointingAt(refusedFindings(COMPONENT, rows, flow, NOW), [silent, behind]).map(
        ({ facts }) => facts.pushes,
      );
    expect(because([refused({ reason: 'aes_key' })])).toEqual(['aes_key', undefined]);
    expect(because([refused({ signed: 'no' })])).toEqual([undefined, undefined]);
    // Tickets are encrypted all the same.
    const clear = refused({ reason: 'clear_mode', url: 'message' });
    expect(because([clear], accepting())).toEqual([undefined, undefined]);
  });
});

describe('row 131: what the self-test has found', () => {
  const COMPONENTS = ['wx0123456789abcdef', 'wx00000000000000aa'];
  const well: SelfTest = {
    forbidden: [],
    evicts: false,
    hidesFailovers: false,
    refuses: undefined,
    refused: [],
    spoiled: [],
    servers: [],
    version: '7.0.15',
  };
  const refusal = {
    operation: 'XADD',
    word: 'unknown command xadd',
    words: "ERR unknown command 'xadd'",
    key: undefined,
    subject: undefined,
  };
  const served = {
    operation: 'append-event',
    word: 'NOPERM',
    words: 'NOPERM No permissions',
    key: 'wx:events:{wx0123456789abcdef}',
    subject: 'wx0123456789abcdef',
  };
  const spoiled = {
    key: 'wx:events:{wx00000000000000aa}',
    subject: 'wx00000000000000aa',
    holds: 'list',
    belongs: 'stream',
    needed: true,
  };
  const said = (test: SelfTest, subjects = COMPONENTS) =>
    selfTestFindings(test, subjects).map((one) => ({
      code: one.code,
      subject: one.subject,
      severity: one.severity,
      message: describeProblem(one, 'en').message,
      advice: describeProblem(one, 'en').advice,
    }));

  it('is nothing when all is well', () => {
    expect(said(well)).toEqual([]);
  });

  it('names what is refused, with the words, the version and the remedy', () => {
    expect(said({ ...well, refused: [refusal] })).toMatchObject([
      {
        code: 'redis_forbids',
        subject: null,
        severity: 'critical',
        message: "Redis 7.0.15 refuses XADD: ERR unknown command 'xadd'.",
        advice: expect.stringMatching(/rename-command.*7\.0|7\.0.*rename-command/) as unknown,
      },
    ]);
  });

  it('names at most eight, and how many more', () => {
    const many = Array.from({ length: 12 }, (_, i) => ({ ...refusal, operation: `C${i}` }));
    expect(said({ ...well, refused: many })[0]?.message).toMatch(/C7 \(\+4\): /);
  });

  it('names a key under its component, and to nobody who may not see that', () => {
    const test = { ...well, refused: [served], spoiled: [spoiled] };
    expect(said(test)).toMatchObject([
      { code: 'redis_forbids', subject: COMPONENTS[0] },
      { code: 'redis_key_spoiled', subject: COMPONENTS[1], severity: 'critical' },
    ]);
    const narrowed = JSON.stringify(said(test, ['wx00000000000000bb']));
    for (const appid of COMPONENTS) expect(narrowed).not.toContain(appid);
  });

  it('says that failovers are not noticed', () => {
    expect(said({ ...well, hidesFailovers: true })).toMatchObject([
      { code: 'redis_hides_failovers', subject: null, severity: 'warning' },
    ]);
  });

  it('is less grave when only people look at that key', () => {
    const test = { ...well, spoiled: [{ ...spoiled, needed: false }] };
    expect(said(test)).toMatchObject([{ severity: 'warning' }]);
  });
});
