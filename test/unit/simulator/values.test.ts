import { describe, expect, it } from 'vitest';
import { createWorld } from '../../../src/sandbox/wechat/world.ts';
import {
  currentOf,
  find,
  isLive,
  issue,
  judge,
  lifeMs,
  randomValue,
} from '../../../src/sandbox/wechat/values.ts';
import type { MintKind } from '../../../src/sandbox/wechat/ledger.ts';
import { createManualClock, type ManualClock } from '../../kit/clock.ts';
import { ACCOUNT, COMPONENT, HOUR, START } from './harness.ts';
import type { Issued, World } from '../../../src/sandbox/wechat/model.ts';

const OWNER = 'wx00000000000000c1:wx00000000000000b1';

function makeWorld(options: object = {}): { world: World; clock: ManualClock } {
  const clock = createManualClock();
  const world = createWorld({ components: [COMPONENT], accounts: [ACCOUNT], clock, ...options });
  return { world, clock };
}

describe('the verdict on a value', () => {
  const issued: Issued = {
    value: 'v',
    owner: OWNER,
    issuedAt: 0,
    expiresAt: 100,
    endedAt: Infinity,
  };

  it.each([
    ['live to the last millisecond', issued, 99, 'live'],
    ['expired from the instant of its expiry', issued, 100, 'expired'],
    ['live until it is ended', { ...issued, endedAt: 50 }, 49, 'live'],
    ['ended from that instant', { ...issued, endedAt: 50 }, 50, 'ended'],
    ['still ended when its life is over, too', { ...issued, endedAt: 50 }, 200, 'ended'],
    ['expired when its end would have come later', { ...issued, endedAt: 150 }, 200, 'expired'],
    ['unknown when nobody issued it', undefined, 50, 'unknown'],
  ])('is: %s', (_what, value, at, verdict) => {
    expect(judge(value, at)).toBe(verdict);
  });
});

describe('a value that is issued', () => {
  it('replaces the one of its family and owner, and no other', async () => {
    const { world, clock } = makeWorld();
    const family = { family: 'token', overlapMs: 0 };
    const first = issue(world, ACCOUNT.appid, 'access_token', family);
    const others = issue(world, 'wx2', 'access_token', family);
    const stable = issue(world, ACCOUNT.appid, 'access_token', { ...family, family: 'stable' });
    await clock.advance(1);
    const second = issue(world, ACCOUNT.appid, 'access_token', family);
    expect(currentOf(world, 'token', ACCOUNT.appid)).toBe(second);
    const verdicts = [first, others, stable, second].map((one) => judge(one, clock.now()));
    expect(verdicts).toEqual(['ended', 'live', 'live', 'live']);
  });

  it('replaces nothing without a family', () => {
    const { world, clock } = makeWorld();
    const codes = [1, 2].map(() => issue(world, COMPONENT.appid, 'pre_auth_code'));
    expect(codes.map((code) => judge(code, clock.now()))).toEqual(['live', 'live']);
  });

  it('never prolongs an end that was set before', () => {
    const { world, clock } = makeWorld();
    const family = { family: 'f', overlapMs: HOUR };
    const first = issue(world, OWNER, 'authorizer_access_token', family);
    first.endedAt = clock.now();
    issue(world, OWNER, 'authorizer_access_token', family);
    expect(judge(first, clock.now())).toBe('ended');
  });

  it('goes into the ledger under the account, also when that belongs to a component', () => {
    const { world } = makeWorld();
    const { value } = issue(world, OWNER, 'authorizer_access_token', undefined, { foreign: true });
    expect(world.ledger.mints).toEqual([
      {
        at: START,
        appid: 'wx00000000000000b1',
        kind: 'authorizer_access_token',
        value,
        expiresAt: START + 2 * HOUR,
        foreign: true,
      },
    ]);
  });

  it('can be asked about at any instant, and only under its kind', () => {
    const { world } = makeWorld();
    const { value } = issue(world, ACCOUNT.appid, 'jsapi_ticket');
    expect(find(world, 'jsapi_ticket', value)).toMatchObject({ owner: ACCOUNT.appid });
    expect(find(world, 'wx_card_ticket', value)).toBeUndefined();
    const at = [START - 1, START, START + 2 * HOUR - 1, START + 2 * HOUR];
    expect(at.map((one) => isLive(world, 'jsapi_ticket', value, one))).toEqual([
      ...[false, true, true, false],
    ]);
  });
});

describe('the kinds of values', () => {
  const LIVES: Record<MintKind, number> = {
    authorization_code: 600,
    component_verify_ticket: 43_200,
    component_access_token: 7_200,
    pre_auth_code: 1_800,
    access_token: 7_200,
    jsapi_ticket: 7_200,
    wx_card_ticket: 7_200,
    authorizer_access_token: 7_200,
  };

  it.each(Object.entries(LIVES) as [MintKind, number][])(
    '%s lives %i seconds, divided when all times are',
    (kind, seconds) => {
      expect(lifeMs(makeWorld().world, kind)).toBe(seconds * 1_000);
      expect(lifeMs(makeWorld({ divideTimesBy: 60 }).world, kind)).toBe((seconds * 1_000) / 60);
    },
  );

  it.each<[MintKind, RegExp]>([
    ['authorization_code', /^queryauthcode@@@[\w-]{88}$/],
    ['component_verify_ticket', /^ticket@@@[\w-]{80,90}$/],
    ['component_access_token', /^9_[\w-]{128}$/],
    ['access_token', /^9_[\w-]{128}$/],
    ['authorizer_access_token', /^9_[\w-]{128}$/],
    ['pre_auth_code', /^preauthcode@@@[\w-]{88}$/],
    ['jsapi_ticket', /^sM4AOVdWfPE4DxkXGEs8V[\w-]{64}$/],
    ['wx_card_ticket', /^sM4AOVdWfPE4DxkXGEs8V[\w-]{64}$/],
  ])('%s looks like the real ones, and no two are alike', (kind, shape) => {
    const [one, other] = [randomValue(kind), randomValue(kind)];
    expect(one).toMatch(shape);
    expect(one).not.toBe(other);
  });
});

describe('what is remembered', () => {
  const family = { family: 'f', overlapMs: 0 };

  it('ends with the oldest values beyond the setting', () => {
    const { world } = makeWorld({ rememberedValues: 2 });
    const values = [1, 2, 3, 4].map(() => issue(world, OWNER, 'access_token', family).value);
    const known = values.map((value) => find(world, 'access_token', value) !== undefined);
    expect(known).toEqual([false, false, true, true]);
  });

  it('has every value that still lives, however many there are', async () => {
    const { world, clock } = makeWorld({ rememberedValues: 2 });
    const owners = Array.from({ length: 5 }, (_, index) => `wx${index}`);
    const values = owners.map((owner) => issue(world, owner, 'access_token', family).value);
    const known = () => values.filter((value) => find(world, 'access_token', value)).length;
    await clock.advance(2 * HOUR - 1);
    issue(world, OWNER, 'access_token', family);
    expect(known()).toBe(5);
    await clock.advance(1);
    issue(world, OWNER, 'access_token', family);
    expect(known()).toBe(0);
  });

  it('is no more than a little above the setting, for long lists too', () => {
    const { world } = makeWorld({ rememberedValues: 20_000, ledgerLimit: 10_000 });
    const sizes = Array.from({ length: 30_000 }, () => {
      issue(world, OWNER, 'access_token', family);
      return [world.issued.access_token.size, world.ledger.mints.length] as const;
    });
    expect(Math.max(...sizes.map(([values]) => values))).toBeLessThan(20_200);
    const listed = sizes.slice(10_000).map(([, mints]) => mints);
    expect([Math.min(...listed), Math.max(...listed)]).toEqual([10_000, 11_000]);
  });
});
