import { describe, expect, it } from 'vitest';
import { COMPONENT, HOUR, OTHER_COMPONENT, SECOND, START } from './harness.ts';
import { AUTHORIZER, MINI, startPlatform } from './platform.ts';

describe('api_get_authorizer_info', () => {
  it('describes an official account', async () => {
    const { simulator, call } = await startPlatform();
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const answer = await call('api_get_authorizer_info', { authorizer_appid: AUTHORIZER });
    expect(answer).toMatchObject({
      authorizer_info: {
        nick_name: expect.stringMatching(/^\p{Script=Han}{4} 00b1$/u) as string,
        user_name: expect.stringMatching(/^gh_[0-9a-f]{12}$/) as string,
        principal_name: expect.stringMatching(/有限公司$/) as string,
        verify_type_info: { id: 0, name: '微信认证' },
        service_type_info: { id: 2, name: '服务号' },
        account_status: 1,
        basic_config: { is_phone_configured: true, is_email_configured: true },
      },
      authorization_info: { authorizer_appid: AUTHORIZER, authorizer_refresh_token: refreshToken },
    });
    expect(answer['authorizer_info']).not.toHaveProperty('MiniProgramInfo');
    expect(JSON.stringify(answer)).not.toContain('access_token"');
    expect(await call('api_get_authorizer_info', { authorizer_appid: AUTHORIZER })).toEqual(answer);
  });

  it('describes a mini-program, under the name that it was given', async () => {
    const { simulator, call } = await startPlatform();
    simulator.grant(COMPONENT.appid, MINI, { kind: 'mini', nickname: '<b>小店</b>' });
    const first = await call('api_get_authorizer_info', { authorizer_appid: MINI });
    expect(first).toMatchObject({
      authorizer_info: {
        nick_name: '<b>小店</b>',
        service_type_info: { id: 0 },
        MiniProgramInfo: { categories: [{ first: '生活服务' }], visit_status: 0 },
      },
      authorization_info: { authorizer_refresh_token: '' },
    });
    // Both stay over a new authorization.
    simulator.authorize(COMPONENT.appid, MINI);
    const second = await call('api_get_authorizer_info', { authorizer_appid: MINI });
    expect(second['authorizer_info']).toEqual(first['authorizer_info']);
  });

  it.each([
    [61003, 'wxnobody'],
    [40013, undefined],
    [40013, ''],
    [40013, 5],
  ])('answers %i for the account %j', async (errcode, appid) => {
    const { call } = await startPlatform();
    const answer = await call('api_get_authorizer_info', { authorizer_appid: appid });
    expect(answer).toMatchObject({ errcode });
  });
});

describe('api_get_authorizer_list', () => {
  it('gives pages in the order of authorization, with the refresh tokens', async () => {
    const { simulator, clock, list } = await startPlatform();
    simulator.authorize(OTHER_COMPONENT.appid, 'wxtheirs');
    const { refreshToken } = simulator.authorize(COMPONENT.appid, MINI);
    await clock.advance(HOUR);
    simulator.grant(COMPONENT.appid, AUTHORIZER);
    const first = {
      authorizer_appid: MINI,
      refresh_token: refreshToken,
      auth_time: START / SECOND,
    };
    const second = {
      authorizer_appid: AUTHORIZER,
      refresh_token: '',
      auth_time: (START + HOUR) / SECOND,
    };
    expect(await list(0, 500)).toEqual({ total_count: 2, list: [first, second] });
    expect(await list(1, 1)).toEqual({ total_count: 2, list: [second] });
    expect(await list(2, 1)).toEqual({ total_count: 2, list: [] });
    // A new authorization keeps its place, one after an end does not.
    simulator.authorize(COMPONENT.appid, MINI);
    expect((await list(0, 1))['list']).toMatchObject([{ authorizer_appid: MINI }]);
    simulator.unauthorize(COMPONENT.appid, MINI);
    simulator.authorize(COMPONENT.appid, MINI);
    expect((await list(1, 1))['list']).toMatchObject([{ authorizer_appid: MINI }]);
  });

  it.each([
    [40170, 0, 501],
    [40097, 0, 0],
    [40097, -1, 10],
    [40097, 0.5, 10],
    [40097, '0', 10],
    [40097, 0, undefined],
  ])('answers %i for offset %j and count %j', async (errcode, offset, count) => {
    const { list } = await startPlatform();
    expect(await list(offset, count)).toMatchObject({ errcode });
  });

  it('gives a true answer under a fault that only spoils it', async () => {
    const { simulator, list } = await startPlatform();
    simulator.authorize(COMPONENT.appid, AUTHORIZER);
    simulator.addFault({ api: 'api_get_authorizer_list', fault: { type: 'large', bytes: 10 } });
    expect(await list(0, 10)).toMatchObject({ total_count: 1, padding: 'aaaaaaaaaa' });
  });
});

describe('a populated world', () => {
  it('has accounts with refresh tokens that work, the same in every world', async () => {
    const { simulator, call, list } = await startPlatform();
    const appids = simulator.populate(COMPONENT.appid, 3, { from: 254 });
    expect(appids).toEqual(['wxa0000000000000fe', 'wxa0000000000000ff', 'wxa000000000000100']);
    expect(await list(0, 3)).toMatchObject({ total_count: 3 });
    const [, appid = ''] = appids;
    const refreshToken = simulator.refreshTokenOf(COMPONENT.appid, appid);
    expect(simulator.populate(COMPONENT.appid, 2, { from: 255 })).toEqual(appids.slice(1));
    expect(simulator.refreshTokenOf(COMPONENT.appid, appid)).toBe(refreshToken);
    const token = await call('api_authorizer_token', {
      authorizer_appid: appid,
      authorizer_refresh_token: refreshToken,
    });
    expect(token).toHaveProperty('authorizer_access_token');
    expect(() => simulator.populate('wxnobody', 1)).toThrow('wxnobody');
  });

  it('holds a hundred thousand accounts, within two seconds and with no mint', async () => {
    const { simulator, list } = await startPlatform();
    const minted = simulator.ledger.mints.length;
    // Of the processor, not of the clock on the wall: other tests run beside this one.
    const started = process.cpuUsage();
    expect(new Set(simulator.populate(COMPONENT.appid, 100_000)).size).toBe(100_000);
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1_000).toBeLessThan(2_000);
    expect(simulator.ledger.mints).toHaveLength(minted);
    const page = (await list(99_990, 500)) as { total_count: number; list: unknown[] };
    expect([page.total_count, page.list.length]).toEqual([100_000, 10]);
  });
});
