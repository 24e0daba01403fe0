import { describe, expect, it } from 'vitest';
import { judge, MOST_ATTEMPTS } from '../../src/deliveries/judge.ts';
import { TargetError, type TargetAnswer } from '../../src/deliveries/target-client.ts';
import { mayCall } from '../../src/lib/addresses.ts';
import { deliveryFindings } from '../../src/status/deliveries.ts';
import { describeProblem } from '../../src/status/wording.ts';
import type { DeliveryStatus } from '../../src/status/schema.ts';
import type { TargetState } from '../../src/store/deliveries/target-state.ts';

/** Decisions about deliveries that need no Redis. */

const NOW = Date.UTC(2026, 0, 5, 3);
const HOUR = 3_600_000;

function answer(status: number, retryAfter?: string): TargetAnswer {
  return { status, retryAfter, body: Buffer.alloc(0), cutOff: false };
}

describe('what an answer means', () => {
  it.each([
    [answer(200), 'delivered'],
    [answer(204), 'delivered'],
    [answer(410), 'stop'],
    [answer(302), 'again'],
    [answer(404), 'again'],
    [answer(500), 'again'],
    [new TargetError('timeout', undefined), 'again'],
    [new Error('a fault of ours'), 'again'],
  ] as const)('%j', (given, outcome) => {
    expect(judge(given, 1, NOW, 0.5).outcome).toBe(outcome);
  });

  it('after each failure the pause is longer, and after the last attempt there is none', () => {
    const pauses = Array.from(
      { length: MOST_ATTEMPTS - 1 },
      (_, at) => judge(answer(500), at + 1, NOW, 0.5).againInMs,
    );
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(pauses.reduce((sum, ms) => sum + ms, 0) / HOUR).toBeCloseTo(21.7, 0);
    expect(judge(answer(500), MOST_ATTEMPTS, NOW, 0.5).outcome).toBe('dead');
    expect(judge(answer(500), 0, NOW, 0.5)).toMatchObject({ outcome: 'again', againInMs: 5_000 });
  });

  it.each([
    ['120', 120_000],
    ['999999999', HOUR],
    [new Date(NOW + 60_000).toUTCString(), 60_000],
    ['0', undefined],
    ['-5', undefined],
    ['soon', undefined],
    [new Date(NOW - 60_000).toUTCString(), undefined],
  ])('Retry-After: %s', (header, ms) => {
    const judged = judge(answer(503, header), 1, NOW, 0.5);
    expect(judged.pauseMs).toBe(ms);
    expect(judged.againInMs).toBeGreaterThanOrEqual(ms ?? 0);
  });
});

describe('addresses that may be called', () => {
  it.each(['1.1.1.1', '203.0.114.1', '2606:4700::1111'])('%s, a public one', (address) => {
    expect(mayCall(address, [])).toBe(true);
  });

  it.each([
    ...['127.0.0.1', '0.0.0.0', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254'],
    ...['100.64.0.1', '224.0.0.1', '255.255.255.255', '198.18.0.1', '192.0.2.1', '240.0.0.1'],
    ...['::1', '::', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'ff02::1', '2001:db8::1'],
    ...['::ffff:127.0.0.1', '::ffff:a00:1', '::7f00:1', '64:ff9b::7f00:1', '2002:7f00:1::'],
  ])('%s, none unless its network is allowed', (address) => {
    expect(mayCall(address, ['203.0.113.0/24'])).toBe(false);
    expect(mayCall(address, ['0.0.0.0/0', '::/0'])).toBe(true);
  });

  it('counts an IPv4 address in IPv6 as what it is', () => {
    expect(mayCall('::ffff:10.0.0.1', ['10.0.0.0/8'])).toBe(true);
    expect(mayCall('::ffff:10.0.0.1', ['::/0'])).toBe(false);
  });
});

describe('what is wrong with a target', () => {
  const WELL: TargetState = {
    fresh: 0,
    again: 0,
    underWay: 0,
    dead: 0,
    bytes: 0,
    failures: 0,
    delivered: 0,
    failed: 0,
    givenUp: 0,
    dropped: 0,
    droppedAt: undefined,
    oldestAt: undefined,
    failingSince: undefined,
    openUntil: undefined,
    stoppedAt: undefined,
    resumedAt: undefined,
    deliveredAt: undefined,
    answered: undefined,
    replyMisses: 0,
    replyMissed: undefined,
    replyMissedAt: undefined,
    replyMissingSince: undefined,
  };
  const status = {
    route: 'shop',
    target: 'https://shop.example.com/',
    last_attempt: { at: '', took_ms: 1, status: 'timeout' },
  } as DeliveryStatus;
  const said = (state: Partial<TargetState>) =>
    deliveryFindings('wx0123456789abcdef', status, { ...WELL, ...state }, NOW);

  it.each([
    [{}, []],
    [{ failures: 2, failingSince: NOW - HOUR }, []],
    [{ failures: 3, failingSince: NOW - 1_000 }, [['target_failing', 'warning']]],
    [{ failures: 9, failingSince: NOW - HOUR }, [['target_failing', 'critical']]],
    [{ failures: 9, failingSince: NOW, stoppedAt: NOW }, [['target_stopped', 'critical']]],
    [{ dead: 1 }, [['deliveries_dropped', 'warning']]],
    [{ dropped: 5, droppedAt: NOW - HOUR }, [['deliveries_dropped', 'warning']]],
    [{ dropped: 5, droppedAt: NOW - 25 * HOUR }, []],
    [{ replyMisses: 2, replyMissedAt: NOW, replyMissed: 'late' }, []],
    [{ replyMisses: 3, replyMissedAt: NOW, replyMissed: 'late' }, [['replies_failing', 'warning']]],
    [{ replyMisses: 3, replyMissedAt: NOW - 2 * HOUR, replyMissed: 'late' }, []],
    // Why users get nothing is said already.
    [{ replyMisses: 9, replyMissedAt: NOW, failures: 3 }, [['target_failing', 'warning']]],
  ] as const)('%j', (state, expected) => {
    expect(said(state).map(({ code, severity }) => [code, severity])).toEqual(expected);
  });

  it('is said in words: the route, the target, why, and how many wait', () => {
    const [found] = said({ failures: 3, failingSince: NOW, fresh: 4, again: 3 });
    if (found === undefined) throw new Error('nothing found');
    expect(describeProblem(found, 'en').message).toBe(
      'The target of route shop (https://shop.example.com/) does not take deliveries, last: no answer ' +
        'within ten seconds; 7 wait.',
    );
    expect(describeProblem(found, 'zh').message).toMatch(/路由 shop .*十秒内没有响应；7 条/);
  });
});
