import { describe, expect, it } from 'vitest';
import type { Simulator } from '../../../src/sandbox/wechat/simulator.ts';
import {
  callApi,
  COMPONENT,
  HOUR,
  MINUTE,
  mintToken,
  OTHER_COMPONENT,
  START,
  startSimulator,
  type Setup,
} from './harness.ts';

const AUTHORIZER = 'wx00000000000000b1';
const OWNER = `${COMPONENT.appid}:${AUTHORIZER}`;

interface Platform extends Setup {
  /** Asks for a token with this refresh token. */
  ask(refreshToken: unknown, more?: object): Promise<Record<string, unknown>>;
  isLive(value: unknown): boolean;
}

async function startPlatform(): Promise<Platform> {
  const setup = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
  const { simulator } = setup;
  const token = await mintToken(simulator);
  return {
    ...setup,
    ask: (refreshToken, more) => ask(simulator, token, refreshToken, more),
    isLive: (value) => simulator.isLive('authorizer_access_token', String(value)),
  };
}

async function ask(
  simulator: Simulator,
  token: string,
  refreshToken: unknown,
  more: object = {},
): Promise<Record<string, unknown>> {
  const path = `api_authorizer_token?component_access_token=${token}`;
  const { json } = await callApi(simulator, path, {
    component_appid: COMPONENT.appid,
    authorizer_appid: AUTHORIZER,
    authorizer_refresh_token: refreshToken,
    ...more,
  });
  return json;
}

describe('api_authorizer_token', () => {
  it('gives a token and the same refresh token again', async () => {
    const { simulator, ask } = await startPlatform();
    const { refreshToken, accessToken, expiresIn } = simulator.authorize(
      COMPONENT.appid,
      AUTHORIZER,
    );
    expect(expiresIn).toBe(7200);
    const answer = await ask(refreshToken);
    expect(answer).toEqual({
      authorizer_access_token: expect.stringMatching(/^[\w-]{120,140}$/) as string,
      expires_in: 7200,
      authorizer_refresh_token: refreshToken,
    });
    expect(answer['authorizer_access_token']).not.toBe(accessToken);
    expect(simulator.latestMint('authorizer_access_token', AUTHORIZER)).toEqual({
      at: START,
      appid: AUTHORIZER,
      kind: 'authorizer_access_token',
      value: answer['authorizer_access_token'],
      expiresAt: START + 2 * HOUR,
      component: COMPONENT.appid,
    });
    expect(await ask(refreshToken)).toHaveProperty('authorizer_access_token');
  });

  it('brings another refresh token at each use, and ends the used one, where they rotate', async () => {
    const { simulator, ask } = await startPlatform();
    const { refreshToken: first } = simulator.authorize(COMPONENT.appid, AUTHORIZER, {
      rotating: true,
    });
    const { authorizer_refresh_token: second } = await ask(first);
    expect(second).toMatch(/^refreshtoken@@@/);
    expect(second).not.toBe(first);
    expect(await ask(first)).toMatchObject({ errcode: 61023 });
    expect(await ask(second)).toHaveProperty('authorizer_access_token');
  });

  it('ends the token before it at once', async () => {
    const { simulator, ask, isLive, clock } = await startPlatform();
    const { refreshToken, accessToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    await clock.advance(MINUTE);
    const { authorizer_access_token: newer } = await ask(refreshToken);
    expect([accessToken, newer].map(isLive)).toEqual([false, true]);
  });

  it('leaves alone what the same account gave to another platform', async () => {
    const { simulator, ask, isLive } = await startPlatform();
    const mine = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const theirs = simulator.authorize(OTHER_COMPONENT.appid, AUTHORIZER);
    await ask(mine.refreshToken);
    expect(isLive(theirs.accessToken)).toBe(true);
    expect(await ask(theirs.refreshToken)).toMatchObject({ errcode: 61023 });
  });

  it.each([
    ['an account that has not authorized', 61003, { authorizer_appid: 'wxnobody' }],
    ['an unknown refresh token', 61023, { authorizer_refresh_token: 'refreshtoken@@@other' }],
    ['no account', 40013, { authorizer_appid: undefined }],
    ['no refresh token', 40013, { authorizer_refresh_token: undefined }],
    ['the appid of another platform', 40013, { component_appid: OTHER_COMPONENT.appid }],
  ])('refuses %s with %i', async (_what, errcode, wrong) => {
    const { simulator, ask } = await startPlatform();
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const minted = simulator.ledger.mints.length;
    expect(await ask(refreshToken, wrong)).toMatchObject({ errcode });
    expect(simulator.ledger.mints).toHaveLength(minted);
  });

  it('refuses a component token that is dead with 40001, and one past its end with 42001', async () => {
    const { simulator, clock } = await startPlatform();
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const older = await mintToken(simulator);
    const newer = await mintToken(simulator);
    expect(await ask(simulator, older, refreshToken)).toMatchObject({ errcode: 40001 });
    await clock.advance(2 * HOUR);
    expect(await ask(simulator, newer, refreshToken)).toMatchObject({ errcode: 42001 });
    expect(await ask(simulator, '', refreshToken)).toMatchObject({ errcode: 41001 });
  });
});

describe('an authorization', () => {
  it('is made anew with another refresh token, which ends the former one', async () => {
    const { simulator, ask, isLive } = await startPlatform();
    const former = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const newer = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    expect(await ask(former.refreshToken)).toMatchObject({ errcode: 61023 });
    expect([former, newer].map(({ accessToken }) => isLive(accessToken))).toEqual([false, true]);
    expect(await ask(newer.refreshToken)).toHaveProperty('authorizer_access_token');
  });

  it('ends with all that came of it, and can be made again', async () => {
    const { simulator, ask, isLive } = await startPlatform();
    const { refreshToken, accessToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    expect(isLive(accessToken)).toBe(false);
    expect(await ask(refreshToken)).toMatchObject({ errcode: 61003 });
    // Once more changes nothing.
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    const again = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    expect(await ask(again.refreshToken)).toHaveProperty('authorizer_access_token');
  });

  it('is given to a platform that exists', async () => {
    const { simulator } = await startPlatform();
    expect(() => simulator.authorize('wxnobody', AUTHORIZER)).toThrow('wxnobody');
  });
});

describe('a token minted elsewhere', () => {
  it('of an authorizer ends ours and leaves the refresh token as it was', async () => {
    const { simulator, ask, isLive } = await startPlatform();
    const { refreshToken, accessToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    simulator.mintElsewhere('authorizer_access_token', OWNER);
    expect(isLive(accessToken)).toBe(false);
    expect(simulator.latestMint('authorizer_access_token', AUTHORIZER)).toMatchObject({
      component: COMPONENT.appid,
      foreign: true,
    });
    expect(await ask(refreshToken)).toHaveProperty('authorizer_access_token');
  });

  it.each([undefined, AUTHORIZER, `${OTHER_COMPONENT.appid}:${AUTHORIZER}`])(
    'needs an authorization: not %s',
    async (owner) => {
      const { simulator } = await startPlatform();
      simulator.authorize(COMPONENT.appid, AUTHORIZER);
      expect(() => simulator.mintElsewhere('authorizer_access_token', owner)).toThrow(RangeError);
    },
  );

  it('of a component ends ours at once, and not the one of another component', async () => {
    const { simulator } = await startPlatform();
    const mine = simulator.latestMint('component_access_token')?.value ?? '';
    const theirs = await mintToken(simulator, OTHER_COMPONENT);
    simulator.mintElsewhere('component_access_token');
    expect(simulator.isLive('component_access_token', mine)).toBe(false);
    expect(simulator.isLive('component_access_token', theirs)).toBe(true);
    expect(simulator.latestMint('component_access_token')).toMatchObject({ foreign: true });
    expect(() => simulator.mintElsewhere('component_access_token', 'wxnobody')).toThrow('wxnobody');
  });
});

describe('the Date of an answer', () => {
  const dateOf = async (simulator: Simulator): Promise<number> => {
    const { headers } = await callApi(simulator, 'api_component_token', {});
    return Date.parse(headers.get('date') ?? '');
  };

  it('is the clock of the simulator, and differs by what was asked for', async () => {
    const { simulator, clock } = await startPlatform();
    expect(await dateOf(simulator)).toBe(START);
    simulator.setDateOffset(2 * MINUTE);
    await clock.advance(HOUR);
    expect(await dateOf(simulator)).toBe(START + HOUR + 2 * MINUTE);
    simulator.setDateOffset(-MINUTE);
    expect(await dateOf(simulator)).toBe(START + HOUR - MINUTE);
    simulator.setDateOffset(0);
    expect(await dateOf(simulator)).toBe(START + HOUR);
  });

  it('says nothing about how long values live', async () => {
    const { simulator, isLive } = await startPlatform();
    simulator.setDateOffset(3 * HOUR);
    const { accessToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    expect(isLive(accessToken)).toBe(true);
    const mint = simulator.latestMint('authorizer_access_token', AUTHORIZER);
    expect(mint).toMatchObject({ at: START, expiresAt: START + 2 * HOUR });
  });
});
