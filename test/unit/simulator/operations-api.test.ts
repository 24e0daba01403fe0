import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../../../src/sandbox/wechat/simulator.ts';
import { createManualClock, type ManualClock } from '../../kit/clock.ts';
import { COMPONENT } from '../../kit/platform.ts';

const ACCOUNT = { appid: 'wx00000000000000a1', secret: 'secret-of-the-account' };
const AUTHORIZER = 'wx5ca6a28cbf8bf405';
const TOKEN = '/cgi-bin/component/api_component_token';
const INFO = '/cgi-bin/component/api_get_authorizer_info';
const QUOTA = '/cgi-bin/openapi/quota/get';
const TRACE = '/cgi-bin/openapi/rid/get';
const CLEAR = '/cgi-bin/component/clear_quota/v2';
const DAY = 86_400_000;

let simulator: Simulator;
let clock: ManualClock;
let token: string;
beforeEach(async () => {
  clock = createManualClock();
  const options = { components: [COMPONENT], accounts: [ACCOUNT], clock, pushing: false };
  simulator = createSimulator({
    ...options,
    dailyLimits: { [INFO]: 2 },
    componentAccessTokenSeconds: 40 * 86_400,
  });
  await simulator.start();
  token = String((await post(TOKEN, componentSecret())).component_access_token);
});
afterEach(() => simulator.stop());

const componentSecret = () => ({
  component_appid: COMPONENT.appid,
  component_appsecret: COMPONENT.secret,
  component_verify_ticket: simulator.issueTicket(),
});

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(simulator.url + path, { method: 'POST', body: JSON.stringify(body) });
  return (await answer.json()) as Record<string, unknown>;
}
const quota = async (path: string, by = token) =>
  post(`${QUOTA}?access_token=${by}`, { cgi_path: path });
const info = () =>
  post(`${INFO}?component_access_token=${token}`, {
    component_appid: COMPONENT.appid,
    authorizer_appid: AUTHORIZER,
  });
const ridOf = ({ errmsg }: Record<string, unknown>) => /rid: (\S+)$/.exec(String(errmsg))?.[1];

describe('openapi/quota/get', () => {
  it('counts the calls of the day in Beijing', async () => {
    expect(await quota(TOKEN)).toMatchObject({
      errcode: 0,
      quota: { daily_limit: 10_000, used: 1, remain: 9_999 },
    });
    await clock.advance(DAY);
    expect(await quota(TOKEN)).toMatchObject({ quota: { used: 0 } });
  });

  it.each([
    [43002, 'GET', '?access_token=x', undefined],
    [41001, 'POST', '', { cgi_path: TOKEN }],
    [40001, 'POST', '?access_token=x', { cgi_path: TOKEN }],
    [76003, 'POST', '', { cgi_path: 'cgi-bin/token' }],
    [76003, 'POST', '', {}],
    [76021, 'POST', '', { cgi_path: '/cgi-bin/nonsense' }],
    [76022, 'POST', '', { cgi_path: '/sns/userinfo' }],
    [76022, 'POST', '', { cgi_path: '/cgi-bin/token' }],
  ])('refuses with %s', async (errcode, method, query, body) => {
    const search = errcode > 76000 ? `?access_token=${token}` : query;
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
    const answer = await fetch(simulator.url + QUOTA + search, init);
    expect(await answer.json()).toMatchObject({ errcode });
  });

  it('refuses calls beyond a limit that was set, until it is cleared', async () => {
    const codes = [await info(), await info(), await info()].map(({ errcode }) => errcode);
    expect(codes).toEqual([61003, 61003, 45009]);
    expect(await quota(INFO)).toMatchObject({ quota: { used: 2, remain: 0 } });
    const clear = { component_appid: COMPONENT.appid, appsecret: COMPONENT.secret };
    expect(await post(CLEAR, clear)).toMatchObject({ errcode: 0 });
    expect(await quota(INFO)).toMatchObject({ quota: { used: 0, remain: 2 } });
    expect(await info()).toMatchObject({ errcode: 61003 });
  });
});

describe('clearing', () => {
  it('works ten times a month', async () => {
    const clear = () =>
      post(CLEAR, { component_appid: COMPONENT.appid, appsecret: COMPONENT.secret });
    for (let round = 0; round < 10; round += 1) expect((await clear()).errcode).toBe(0);
    expect((await clear()).errcode).toBe(48006);
    await clock.advance(11 * DAY);
    expect((await clear()).errcode).toBe(0);
  });

  it.each([
    [CLEAR, { component_appid: 'wx1', appsecret: COMPONENT.secret }, 40013],
    [CLEAR, { component_appid: COMPONENT.appid }, 41004],
    [CLEAR, { component_appid: COMPONENT.appid, appsecret: 'wrong' }, 40125],
    [
      CLEAR,
      { component_appid: COMPONENT.appid, appsecret: COMPONENT.secret, appid: AUTHORIZER },
      61003,
    ],
    ['/cgi-bin/clear_quota/v2', { appid: 'wx1', appsecret: ACCOUNT.secret }, 40013],
    ['/cgi-bin/clear_quota/v2', { appid: ACCOUNT.appid, appsecret: 'wrong' }, 40125],
    ['/cgi-bin/clear_quota/v2', { appid: ACCOUNT.appid, appsecret: ACCOUNT.secret }, 0],
  ])('%s %j answers %s', async (path, body, errcode) => {
    expect(await post(path, body)).toMatchObject({ errcode });
  });
});

describe('openapi/rid/get', () => {
  const trace = (rid: string | undefined) => post(`${TRACE}?access_token=${token}`, { rid });

  it('knows what it has refused, with everything that was sent', async () => {
    const refused = await info();
    const answer = await trace(ridOf(refused));
    expect(answer).toMatchObject({
      errcode: 0,
      request: {
        invoke_time: Math.floor(clock.now() / 1000),
        cost_in_ms: 0,
        request_url: `${INFO}?component_access_token=${token}`,
        request_body: expect.stringContaining(AUTHORIZER) as string,
        response_body: JSON.stringify(refused),
        client_ip: expect.stringMatching(/127\.0\.0\.1$/) as string,
      },
    });
  });

  it('knows a refusal that a fault has made, too', async () => {
    simulator.addFault({
      api: 'api_get_authorizer_info',
      fault: { type: 'errcode', errcode: 61004 },
    });
    expect(await trace(ridOf(await info()))).toMatchObject({ errcode: 0 });
  });

  it('refuses what it does not know, what is too old and what is none of theirs', async () => {
    const rid = ridOf(await info());
    const foreign = ridOf(await post('/cgi-bin/clear_quota/v2', { appid: ACCOUNT.appid }));
    expect(await trace('00000000-00000000-00000000')).toMatchObject({ errcode: 76001 });
    expect(await trace('nonsense')).toMatchObject({ errcode: 76002 });
    expect(await trace(undefined)).toMatchObject({ errcode: 76002 });
    expect(await trace(foreign)).toMatchObject({ errcode: 76003 });
    await clock.advance(8 * DAY);
    expect(await trace(rid)).toMatchObject({ errcode: 76001 });
  });
});
