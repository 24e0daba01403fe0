import { describe, expect, it } from 'vitest';
import {
  callApi,
  COMPONENT,
  HOUR,
  MINUTE,
  mintCode,
  mintToken,
  OTHER_COMPONENT,
  SECOND,
  START,
} from './harness.ts';
import { AUTHORIZER, MINI, startPlatform, type Json } from './platform.ts';

describe('api_query_auth', () => {
  it('gives both tokens and the permission sets for a code', async () => {
    const { simulator, exchange } = await startPlatform();
    const grant = simulator.grant(COMPONENT.appid, AUTHORIZER, { funcs: [1, 15] });
    expect(grant).toEqual({
      code: expect.stringMatching(/^queryauthcode@@@/) as string,
      redirectCode: grant.code,
      eventCode: grant.code,
      expiresIn: 600,
      expiresAt: START + 10 * MINUTE,
    });
    expect(simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER)).toBeUndefined();
    const info = await exchange(grant.code);
    expect(info).toEqual({
      authorizer_appid: AUTHORIZER,
      authorizer_access_token: simulator.latestMint('authorizer_access_token', AUTHORIZER)?.value,
      expires_in: 7200,
      authorizer_refresh_token: simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER),
      func_info: [
        { funcscope_category: { id: 1, type: 1, name: '消息管理权限', desc: '消息管理权限' } },
        { funcscope_category: { id: 15, type: 1, name: '自定义菜单权限', desc: '自定义菜单权限' } },
      ],
    });
    expect(info['authorizer_refresh_token']).toMatch(/^refreshtoken@@@/);
    expect(simulator.latestMint('authorizer_access_token', AUTHORIZER)).toMatchObject({
      component: COMPONENT.appid,
    });
  });

  it('takes a code once, inside its life, from the platform that it was issued to', async () => {
    const { simulator, call, clock, exchange } = await startPlatform();
    const query = (code: unknown) => call('api_query_auth', { authorization_code: code });
    const { code } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    await exchange(code);
    const minted = simulator.ledger.mints.length;
    expect(await query(code)).toMatchObject({ errcode: 61009 });
    const { code: theirs } = simulator.grant(OTHER_COMPONENT.appid, AUTHORIZER);
    for (const bad of [theirs, 'queryauthcode@@@unknown', undefined, 7, '']) {
      expect(await query(bad)).toMatchObject({ errcode: 61009 });
    }
    const { code: late } = simulator.grant(COMPONENT.appid, MINI);
    await clock.advance(10 * MINUTE);
    expect(await query(late)).toMatchObject({ errcode: 61010 });
    // One that was used stays used.
    expect(await query(code)).toMatchObject({ errcode: 61009 });
    const tokens = simulator.ledger.mints.slice(minted).map(({ kind }) => kind);
    expect(tokens).toEqual(['authorization_code', 'authorization_code']);
  });

  it('takes codes for as long as the setting says', async () => {
    const { simulator, call, clock } = await startPlatform({ authorizationCodeSeconds: 60 });
    const { code, expiresIn } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    expect(expiresIn).toBe(60);
    await clock.advance(MINUTE - 1);
    expect(await call('api_query_auth', { authorization_code: code })).not.toHaveProperty(
      'errcode',
    );
  });

  it('repeats the refresh token for the other code of the same authorization', async () => {
    const { simulator, exchange, isLive } = await startPlatform();
    const { redirectCode, eventCode } = simulator.grant(COMPONENT.appid, AUTHORIZER, {
      twoCodes: true,
    });
    expect(redirectCode).not.toBe(eventCode);
    const first = await exchange(eventCode);
    const second = await exchange(redirectCode);
    expect(second['authorizer_refresh_token']).toBe(first['authorizer_refresh_token']);
    const tokens = [first, second].map((one) => one['authorizer_access_token']);
    expect(tokens.map(isLive)).toEqual([false, true]);
  });

  it('is refused without a live token of the platform', async () => {
    const { simulator, clock } = await startPlatform();
    const { code } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    const body = { component_appid: COMPONENT.appid, authorization_code: code };
    const ask = async (query: string) =>
      (await callApi(simulator, `api_query_auth${query}`, body)).json;
    expect(await ask('')).toMatchObject({ errcode: 41001 });
    expect(await ask('?access_token=9_nonsense')).toMatchObject({ errcode: 40001 });
    const token = await mintToken(simulator);
    await clock.advance(2 * HOUR);
    expect(await ask(`?access_token=${token}`)).toMatchObject({ errcode: 42001 });
  });

  it('keeps the code when a fault replaces the work, and pretends a whole answer', async () => {
    const { simulator, call, exchange } = await startPlatform();
    const { code } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    simulator.addFault({ api: 'api_query_auth', fault: { type: 'large', bytes: 10 } });
    expect(await call('api_query_auth', { authorization_code: code })).toMatchObject({
      authorization_info: { expires_in: 7200 },
    });
    expect(await exchange(code)).toMatchObject({ authorizer_appid: AUTHORIZER });
  });
});

describe('a grant', () => {
  it('ends the former authorization, refresh token and codes, and waits for its exchange', async () => {
    const { simulator, call, exchange, list } = await startPlatform();
    const former = simulator.grant(COMPONENT.appid, AUTHORIZER);
    const { authorizer_refresh_token: old } = await exchange(former.code);
    const unused = simulator.grant(COMPONENT.appid, AUTHORIZER);
    const newer = simulator.grant(COMPONENT.appid, AUTHORIZER);
    const refresh = (refreshToken: unknown) =>
      call('api_authorizer_token', {
        authorizer_appid: AUTHORIZER,
        authorizer_refresh_token: refreshToken,
      });
    expect(await refresh(old)).toMatchObject({ errcode: 61023 });
    expect(await refresh('')).toMatchObject({ errcode: 61023 });
    expect((await list(0, 1))['list']).toMatchObject([{ refresh_token: '' }]);
    const { code } = unused;
    expect(await call('api_query_auth', { authorization_code: code })).toMatchObject({
      errcode: 61009,
    });
    const { authorizer_refresh_token: fresh } = await exchange(newer.code);
    expect(fresh).not.toBe(old);
    expect(await refresh(fresh)).toMatchObject({ authorizer_refresh_token: fresh });
  });

  it('that only updates the permission sets keeps the refresh token', async () => {
    const { simulator, clock, call, exchange, list } = await startPlatform();
    expect(() => simulator.grant(COMPONENT.appid, AUTHORIZER, { update: true })).toThrow(
      RangeError,
    );
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    await clock.advance(HOUR);
    const { code } = simulator.grant(COMPONENT.appid, AUTHORIZER, { update: true, funcs: [3] });
    const { func_info: funcs } = (
      await call('api_get_authorizer_info', { authorizer_appid: AUTHORIZER })
    )['authorization_info'] as Json;
    expect(funcs).toMatchObject([{ funcscope_category: { id: 3 } }]);
    expect(await exchange(code)).toMatchObject({ authorizer_refresh_token: refreshToken });
    expect((await list(0, 1))['list']).toMatchObject([{ auth_time: START / SECOND }]);
  });

  it('uses up the pre_auth_code, and is nothing with one that is not good', async () => {
    const { simulator, clock, list } = await startPlatform();
    const token = simulator.latestMint('component_access_token')?.value ?? '';
    const preAuthCode = async () =>
      (await mintCode(simulator, token)).json['pre_auth_code'] as string;
    const good = await preAuthCode();
    const grant = (code: string, component: string = COMPONENT.appid) =>
      simulator.grant(component, AUTHORIZER, { preAuthCode: code });
    expect(() => grant(good, OTHER_COMPONENT.appid)).toThrow('the pre_auth_code is unknown');
    grant(good);
    expect(simulator.usePreAuthCode(good)).toBe('used');
    expect(() => grant(good)).toThrow(RangeError);
    const late = await preAuthCode();
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    await clock.advance(30 * MINUTE);
    expect(() => grant(late)).toThrow('expired');
    expect(() => grant('preauthcode@@@x')).toThrow('unknown');
    expect(await list(0, 10)).toEqual({ total_count: 0, list: [] });
    expect(simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER)).toBeUndefined();
  });

  it('is worth nothing once the account has ended it', async () => {
    const { simulator, call } = await startPlatform();
    const { code } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    simulator.authorize(COMPONENT.appid, AUTHORIZER);
    expect(await call('api_query_auth', { authorization_code: code })).toMatchObject({
      errcode: 61009,
    });
  });
});
