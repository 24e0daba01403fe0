import { describe, expect, it } from 'vitest';
import {
  callApi,
  COMPONENT,
  HOUR,
  MINUTE,
  mintCode,
  mintToken,
  SECOND,
  START,
  startReceiver,
  startSimulator,
  tokenRequest,
  urlOf,
} from './harness.ts';

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
    await clock.advance(SECOND);
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
    await clock.advance(100 * HOUR);
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
    await clock.advance(SECOND);
    await callApi(simulator, 'api_create_preauthcode', {}, { host: 1 });
    const { appid } = COMPONENT;
    expect(simulator.ledger.calls).toEqual([
      { at: START, appid, api: 'api_component_token', host: 0, errcode: 0 },
      { at: START + SECOND, appid: '', api: 'api_create_preauthcode', host: 1, errcode: 41001 },
    ]);
  });

  it('survives a path that is no URL', async () => {
    const { simulator } = await startSimulator();
    const response = await fetch(`${simulator.url}//`, { method: 'POST' });
    expect(await response.json()).toMatchObject({ errcode: 40066 });
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
    await clock.advance(SECOND - 1);
    expect(simulator.isLive('component_access_token', token)).toBe(true);
    await clock.advance(1);
    expect(simulator.isLive('component_access_token', token)).toBe(false);
  });
});
