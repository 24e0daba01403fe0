import { describe, expect, it } from 'vitest';
import type { ApiFault } from '../../../src/sandbox/wechat/faults.ts';
import {
  askForToken,
  callApi,
  COMPONENT,
  mintToken,
  SECOND,
  startSimulator,
  startWithFault,
  tokensMinted,
} from './harness.ts';

describe('an answer', () => {
  it('may be another status with a text', async () => {
    const simulator = await startWithFault({ type: 'status', status: 502, body: 'Bad Gateway' });
    const response = await askForToken(simulator);
    expect(response.status).toBe(502);
    expect(await response.text()).toBe('Bad Gateway');
  });

  it('may be a web page', async () => {
    const response = await askForToken(await startWithFault({ type: 'html' }));
    expect(response.headers.get('content-type')).toBe('text/html');
    expect(await response.text()).toMatch(/^<!DOCTYPE html>/);
  });

  it('may be JSON cut in the middle of a complete message', async () => {
    const simulator = await startWithFault({ type: 'truncate' }, true);
    const text = await (await askForToken(simulator)).text();
    expect(text).toMatch(/^\{"component_access_token":"9_/);
    expect(() => JSON.parse(text) as unknown).toThrow();
  });

  it('may be cut off on the wire', async () => {
    const simulator = await startWithFault({ type: 'truncate', close: true });
    const response = await askForToken(simulator);
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow('terminated');
  });

  it('may be any errcode, with WeChat’s text or another one', async () => {
    const simulator = await startWithFault({ type: 'errcode', errcode: 45009 });
    const first = (await (await askForToken(simulator)).json()) as object;
    expect(first).toMatchObject({ errcode: 45009 });
    expect(first).toHaveProperty('errmsg', expect.stringMatching(/^reach max api daily .* rid: /));
    simulator.addFault({ api: '*', fault: { type: 'errcode', errcode: 1, errmsg: 'mine' } });
    const second = await (await askForToken(simulator)).json();
    expect(second).toHaveProperty('errmsg', expect.stringMatching(/^mine rid: /));
  });

  it('may be a reset of the connection', async () => {
    const simulator = await startWithFault({ type: 'reset' }, true);
    const error = await askForToken(simulator).then(
      () => undefined,
      (reason: unknown) => (reason as Error).cause,
    );
    expect(error).toHaveProperty('code', 'ECONNRESET');
    expect(tokensMinted(simulator)).toBe(1);
  });

  it('may be any body of any type', async () => {
    const simulator = await startWithFault({ type: 'body', body: '{}{}' });
    const plain = await askForToken(simulator);
    expect(plain.headers.get('content-type')).toContain('application/json');
    expect(await plain.text()).toBe('{}{}');
    const fault: ApiFault = { type: 'body', body: '<xml/>', contentType: 'text/xml' };
    simulator.addFault({ api: '*', fault });
    expect((await askForToken(simulator)).headers.get('content-type')).toBe('text/xml');
  });

  it('may have fields changed and dropped, around a token that is really minted', async () => {
    const simulator = await startWithFault({
      type: 'patch',
      fields: { expires_in: '7200', extra: null },
      remove: ['nothing'],
    });
    expect(await (await askForToken(simulator)).json()).toEqual({
      component_access_token: simulator.latestMint('component_access_token')?.value,
      expires_in: '7200',
      extra: null,
    });
    simulator.addFault({ api: '*', fault: { type: 'patch', remove: ['expires_in'] } });
    expect(Object.keys((await (await askForToken(simulator)).json()) as object)).toEqual([
      'component_access_token',
    ]);
    expect(tokensMinted(simulator)).toBe(2);
  });

  it('may point elsewhere', async () => {
    const simulator = await startWithFault({ type: 'redirect', location: 'http://127.0.0.1:1/x' });
    const response = await askForToken(simulator);
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toBe('http://127.0.0.1:1/x');
  });

  it('may come a few bytes at a time', async () => {
    const { simulator, clock } = await startSimulator();
    simulator.addFault({ api: '*', fault: { type: 'drip', bytesPerChunk: 50, everyMs: SECOND } });
    const response = await askForToken(simulator);
    await simulator.idle();
    const text = response.text();
    // 177 bytes make four chunks, so three seconds pass between the first and the last.
    await clock.advance(2 * SECOND);
    expect(clock.pendingTimers()).toBe(1);
    await clock.advance(SECOND);
    expect(clock.pendingTimers()).toBe(0);
    expect(JSON.parse(await text)).toHaveProperty('component_access_token');
  });

  it('stops dripping when the connection is gone', async () => {
    const { simulator, clock } = await startSimulator();
    simulator.addFault({ api: '*', fault: { type: 'drip', bytesPerChunk: 1, everyMs: SECOND } });
    const response = await askForToken(simulator);
    const text = expect(response.text()).rejects.toThrow('terminated');
    await simulator.killHost(0);
    await text;
    await clock.advance(SECOND);
    expect(clock.pendingTimers()).toBe(0);
  });

  it('may be far too large, yet valid', async () => {
    const simulator = await startWithFault({ type: 'large', bytes: 3_000_000 }, true);
    const json = (await (await askForToken(simulator)).json()) as Record<string, unknown>;
    expect(json['component_access_token']).toBe(
      simulator.latestMint('component_access_token')?.value,
    );
    expect(json['padding']).toHaveLength(3_000_000);
  });

  it('that is large is not an error for the simulator when the caller hangs up', async () => {
    const simulator = await startWithFault({ type: 'large', bytes: 300_000_000 });
    const response = await askForToken(simulator);
    await response.body?.cancel();
    await simulator.idle();
    expect(await mintToken(simulator)).toMatch(/^9_/);
  });

  it('of the other calls is imitated just as well', async () => {
    const { simulator } = await startSimulator();
    const codeCall = `api_create_preauthcode?access_token=${await mintToken(simulator)}`;
    const body = { component_appid: COMPONENT.appid, component_secret: COMPONENT.secret };
    simulator.addFault({ api: '*', fault: { type: 'large', bytes: 1 }, times: 2 });
    expect((await callApi(simulator, codeCall, body)).json).toMatchObject({
      pre_auth_code: expect.stringContaining('preauthcode@@@') as string,
      expires_in: 1800,
    });
    expect(simulator.latestMint('pre_auth_code')).toBeUndefined();
    expect((await callApi(simulator, 'api_start_push_ticket', body)).json).toMatchObject({
      errcode: 0,
    });
  });
});
