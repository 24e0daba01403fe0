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
  startReceiver,
  startSimulator,
  tokenRequest,
  urlOf,
} from './harness.ts';

const RID = / rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$/;

describe('api_component_token', () => {
  it('gives a token for a ticket, with its life and without an errcode', async () => {
    const { simulator } = await startSimulator();
    const ticket = simulator.issueTicket();
    const { status, json } = await callApi(
      simulator,
      'api_component_token',
      tokenRequest(ticket),
    );
    expect(status).toBe(200);
    expect(json).toEqual({
      component_access_token: expect.stringMatching(/^[\w-]{120,140}$/) as string,
      expires_in: 7200,
    });
  });

  it('says which ticket a token was bought with, in the ledger', async () => {
    const { simulator } = await startSimulator();
    const ticket = simulator.issueTicket();
    const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(simulator.latestMint('component_access_token')).toEqual({
      at: START,
      appid: COMPONENT.appid,
      kind: 'component_access_token',
      value: json['component_access_token'],
      expiresAt: START + 2 * HOUR,
      ticket,
    });
  });

  it('accepts every unexpired ticket, not just the newest', async () => {
    const { simulator, clock } = await startSimulator();
    const older = simulator.issueTicket();
    clock.advance(6 * HOUR);
    const newer = simulator.issueTicket();
    for (const ticket of [older, newer, older]) {
      const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
      expect(json).toHaveProperty('component_access_token');
    }
  });

  it('refuses a ticket with 61005 from the instant its 12 hours are over', async () => {
    const { simulator, clock } = await startSimulator();
    const ticket = simulator.issueTicket();
    clock.advance(12 * HOUR - 1);
    const before = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(before.json).toHaveProperty('component_access_token');
    clock.advance(1);
    const after = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(after.json['errcode']).toBe(61005);
  });

  const valid = tokenRequest('ticket@@@unknown');
  it.each([
    ['an unknown ticket', 61006, valid],
    ['an empty ticket', 61006, { ...valid, component_verify_ticket: '' }],
    ['a missing ticket', 61006, { ...valid, component_verify_ticket: undefined }],
    ['a ticket that is null', 61006, { ...valid, component_verify_ticket: null }],
    ['a wrong secret', 40125, { ...valid, component_appsecret: 'wrong' }],
    ['a secret that is not a string', 40125, { ...valid, component_appsecret: 7 }],
    ['a missing secret', 41004, { ...valid, component_appsecret: undefined }],
    ['an empty secret', 41004, { ...valid, component_appsecret: '' }],
    ['the secret under the name of another call', 41004, {
      ...valid,
      component_appsecret: undefined,
      component_secret: COMPONENT.secret,
    }],
    ['an unknown appid', 40013, { ...valid, component_appid: 'wxnobody' }],
    ['an appid that is not a string', 40013, { ...valid, component_appid: ['wx'] }],
    ['a missing appid', 41018, { ...valid, component_appid: undefined }],
    ['a body that is not JSON', 47001, '<xml/>'],
    ['a body that is no object', 47001, '["component_appid"]'],
    ['an empty body', 44002, ''],
  ])('refuses %s with %i, status 200 and a rid', async (_what, errcode, body) => {
    const { simulator } = await startSimulator();
    const { status, json } = await callApi(simulator, 'api_component_token', body);
    expect(status).toBe(200);
    expect(json['errcode']).toBe(errcode);
    expect(json['errmsg']).toMatch(RID);
    expect(simulator.ledger.mints).toEqual([]);
  });

  it('refuses the ticket of another component', async () => {
    const { simulator } = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
    const ticket = simulator.issueTicket(OTHER_COMPONENT.appid);
    const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(json['errcode']).toBe(61006);
  });

  it('refuses any method but POST with 43002', async () => {
    const { simulator } = await startSimulator();
    const response = await fetch(urlOf(simulator, 'api_component_token'));
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ errcode: 43002 });
  });
});

describe('component_access_token', () => {
  it('dies with 40001 as soon as a newer one is minted', async () => {
    const { simulator } = await startSimulator();
    const older = await mintToken(simulator);
    expect((await mintCode(simulator, older)).json).toHaveProperty('pre_auth_code');
    const newer = await mintToken(simulator);
    expect((await mintCode(simulator, older)).json['errcode']).toBe(40001);
    expect((await mintCode(simulator, newer)).json).toHaveProperty('pre_auth_code');
  });

  it('outlives its successor by the overlap that was asked for', async () => {
    const { simulator, clock } = await startSimulator({ overlapSeconds: 300 });
    const older = await mintToken(simulator);
    await mintToken(simulator);
    clock.advance(5 * MINUTE - 1);
    expect((await mintCode(simulator, older)).json).toHaveProperty('pre_auth_code');
    clock.advance(1);
    expect((await mintCode(simulator, older)).json['errcode']).toBe(40001);
  });

  it('is not kept alive by a third minting within the overlap', async () => {
    const { simulator, clock } = await startSimulator({ overlapSeconds: 300 });
    const first = await mintToken(simulator);
    await mintToken(simulator);
    clock.advance(4 * MINUTE);
    await mintToken(simulator);
    clock.advance(MINUTE);
    expect(simulator.isLive('component_access_token', first)).toBe(false);
  });

  it('expires with 42001 after its two hours', async () => {
    const { simulator, clock } = await startSimulator();
    const token = await mintToken(simulator);
    clock.advance(2 * HOUR - 1);
    expect((await mintCode(simulator, token)).json).toHaveProperty('pre_auth_code');
    clock.advance(1);
    expect((await mintCode(simulator, token)).json['errcode']).toBe(42001);
  });

  it('of one component is not killed by the minting of another', async () => {
    const { simulator } = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
    const mine = await mintToken(simulator);
    await mintToken(simulator, OTHER_COMPONENT);
    expect(simulator.isLive('component_access_token', mine)).toBe(true);
  });

  it('can be asked about at any instant of the past', async () => {
    const { simulator, clock } = await startSimulator();
    clock.advance(MINUTE);
    const older = await mintToken(simulator);
    clock.advance(MINUTE);
    const newer = await mintToken(simulator);
    const liveAt = (token: string, at: number): boolean =>
      simulator.isLive('component_access_token', token, at);
    expect([START, START + MINUTE, START + 2 * MINUTE].map((at) => liveAt(older, at))).toEqual([
      false,
      true,
      false,
    ]);
    expect(liveAt(newer, START + 2 * MINUTE - 1)).toBe(false);
    expect(liveAt('nonsense', START)).toBe(false);
  });
});

describe('api_create_preauthcode', () => {
  it('gives a code with its life, under both names of the token parameter', async () => {
    const { simulator } = await startSimulator();
    const token = await mintToken(simulator);
    for (const name of ['component_access_token', 'access_token']) {
      const { json } = await callApi(simulator, `api_create_preauthcode?${name}=${token}`, {
        component_appid: COMPONENT.appid,
      });
      expect(json).toEqual({
        pre_auth_code: expect.stringMatching(/^preauthcode@@@[\w-]{80,}$/) as string,
        expires_in: 1800,
      });
    }
  });

  it.each([
    ['a missing token', 41001, '', { component_appid: COMPONENT.appid }],
    ['an empty token', 41001, '?component_access_token=', { component_appid: COMPONENT.appid }],
    ['an unknown token', 40001, '?access_token=x', { component_appid: COMPONENT.appid }],
    // The gateway looks at the token first, so a bad body behind a bad token is not noticed.
    ['an unknown token before the body', 40001, '?access_token=x', 'not json'],
  ])('refuses %s with %i', async (_what, errcode, query, body) => {
    const { simulator } = await startSimulator();
    const { json } = await callApi(simulator, `api_create_preauthcode${query}`, body);
    expect(json['errcode']).toBe(errcode);
    expect(json['errmsg']).toMatch(RID);
  });

  it('checks appid and body behind a good token', async () => {
    const { simulator } = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
    const call = `api_create_preauthcode?component_access_token=${await mintToken(simulator)}`;
    expect((await callApi(simulator, call, '')).json['errcode']).toBe(44002);
    expect((await callApi(simulator, call, 'not json')).json['errcode']).toBe(47001);
    expect((await callApi(simulator, call, {})).json['errcode']).toBe(41018);
    const foreign = { component_appid: OTHER_COMPONENT.appid };
    expect((await callApi(simulator, call, foreign)).json['errcode']).toBe(40013);
  });

  it('leaves earlier codes alive, and each works once', async () => {
    const { simulator } = await startSimulator();
    const token = await mintToken(simulator);
    const first = (await mintCode(simulator, token)).json['pre_auth_code'] as string;
    const second = (await mintCode(simulator, token)).json['pre_auth_code'] as string;
    expect(simulator.isLive('pre_auth_code', first)).toBe(true);
    expect(simulator.usePreAuthCode(first)).toBe('ok');
    expect(simulator.isLive('pre_auth_code', first)).toBe(false);
    expect(simulator.usePreAuthCode(first)).toBe('used');
    expect(simulator.usePreAuthCode(second)).toBe('ok');
    expect(simulator.usePreAuthCode('preauthcode@@@made-up')).toBe('unknown');
  });

  it('gives codes that expire after half an hour', async () => {
    const { simulator, clock } = await startSimulator();
    const { json } = await mintCode(simulator, await mintToken(simulator));
    const code = json['pre_auth_code'] as string;
    clock.advance(30 * MINUTE);
    expect(simulator.isLive('pre_auth_code', code)).toBe(false);
    expect(simulator.usePreAuthCode(code)).toBe('expired');
  });

  it('gives codes that outlive the death of the token they were made with', async () => {
    const { simulator } = await startSimulator();
    const { json } = await mintCode(simulator, await mintToken(simulator));
    await mintToken(simulator);
    expect(simulator.usePreAuthCode(json['pre_auth_code'] as string)).toBe('ok');
  });
});

describe('api_start_push_ticket', () => {
  const request = { component_appid: COMPONENT.appid, component_secret: COMPONENT.secret };

  it('turns pushing on and says ok, and a push follows soon', async () => {
    const receiver = await startReceiver();
    const { simulator, clock } = await startSimulator({
      components: [{ ...COMPONENT, callbackUrl: receiver.url }],
    });
    const { json } = await callApi(simulator, 'api_start_push_ticket', request);
    expect(json).toEqual({ errcode: 0, errmsg: 'ok' });
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(0);
    clock.advance(SECOND);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
  });

  it('says that all is normal when pushing was on already', async () => {
    const { simulator } = await startSimulator({ pushing: true });
    const { json } = await callApi(simulator, 'api_start_push_ticket', request);
    expect(json['errcode']).toBe(0);
    expect(json['errmsg']).toMatch(/normal state/);
  });

  it('wants component_secret, not component_appsecret', async () => {
    const { simulator } = await startSimulator();
    const wrongName = {
      component_appid: COMPONENT.appid,
      component_appsecret: COMPONENT.secret,
    };
    const { json } = await callApi(simulator, 'api_start_push_ticket', wrongName);
    expect(json['errcode']).toBe(41004);
    const wrongSecret = { ...request, component_secret: 'wrong' };
    const reply = await callApi(simulator, 'api_start_push_ticket', wrongSecret);
    expect(reply.json['errcode']).toBe(40125);
  });
});

describe('every answer', () => {
  it('carries a Date header of the simulator clock', async () => {
    const { simulator, clock } = await startSimulator();
    clock.advance(100 * HOUR);
    const { headers } = await callApi(simulator, 'api_component_token', '');
    expect(Date.parse(headers.get('date') ?? '')).toBe(START + 100 * HOUR);
  });

  it('is labelled as JSON in the words of WeChat', async () => {
    const { simulator } = await startSimulator();
    const { headers } = await callApi(simulator, 'api_component_token', '');
    expect(headers.get('content-type')).toBe('application/json; encoding=utf-8');
  });

  it('begins its rid with the time of the call', async () => {
    const { simulator } = await startSimulator();
    const { json } = await callApi(simulator, 'api_component_token', '');
    expect(json['errmsg']).toContain(` rid: ${(START / 1000).toString(16)}-`);
  });

  it('refuses a path it does not know with 40066', async () => {
    const { simulator } = await startSimulator();
    expect((await callApi(simulator, 'api_nonsense', {})).json['errcode']).toBe(40066);
    const elsewhere = await fetch(`${simulator.url}/api_component_token`, { method: 'POST' });
    expect(await elsewhere.json()).toMatchObject({ errcode: 40066 });
  });

  it('is in the ledger with caller, host and errcode', async () => {
    const { simulator, clock } = await startSimulator({ hosts: 2 });
    await mintToken(simulator);
    clock.advance(SECOND);
    await callApi(simulator, 'api_create_preauthcode', {}, { host: 1 });
    const { appid } = COMPONENT;
    expect(simulator.ledger.calls).toEqual([
      { at: START, appid, api: 'api_component_token', host: 0, errcode: 0 },
      { at: START + SECOND, appid: '', api: 'api_create_preauthcode', host: 1, errcode: 41001 },
    ]);
  });

  it('is 413 for a body of more than a megabyte', async () => {
    const { simulator } = await startSimulator();
    const response = await fetch(urlOf(simulator, 'api_component_token'), {
      method: 'POST',
      body: 'x'.repeat(1_048_577),
    });
    expect(response.status).toBe(413);
  });
});

describe('lives', () => {
  it('are divided all alike, and expires_in is rounded down', async () => {
    const { simulator, clock } = await startSimulator({
      divideTimesBy: 60,
      preAuthCodeSeconds: 1799,
      overlapSeconds: 60,
    });
    const ticket = simulator.issueTicket();
    expect(simulator.latestMint('component_verify_ticket')?.expiresAt).toBe(START + 12 * MINUTE);
    const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(json['expires_in']).toBe(120);
    const token = json['component_access_token'] as string;
    expect((await mintCode(simulator, token)).json['expires_in']).toBe(29);
    await mintToken(simulator);
    clock.advance(SECOND - 1);
    expect(simulator.isLive('component_access_token', token)).toBe(true);
    clock.advance(1);
    expect(simulator.isLive('component_access_token', token)).toBe(false);
  });
});
