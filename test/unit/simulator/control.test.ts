import { describe, expect, it } from 'vitest';
import { handleControl } from '../../../src/sandbox/wechat/control.ts';
import { createWorld } from '../../../src/sandbox/wechat/world.ts';
import {
  ACCOUNT,
  callApi,
  COMPONENT,
  control,
  element,
  MINUTE,
  mintCode,
  mintToken,
  open,
  START,
  startSimulator,
  startWithReceiver,
  tokenRequest,
} from './harness.ts';

describe('the control API', () => {
  it('shows its state without any secret', async () => {
    const accounts = [ACCOUNT];
    const { simulator, receiver } = await startWithReceiver({ hosts: 2, accounts });
    await mintToken(simulator);
    const { refreshToken } = simulator.authorize(COMPONENT.appid, 'wxb');
    const { status, json } = await control(simulator, 'GET state');
    expect(status).toBe(200);
    expect(json).toMatchObject({
      now: START,
      time: '2026-11-21T00:00:00.000Z',
      hosts: [
        { index: 0, url: simulator.urls[0], alive: true },
        { index: 1, url: simulator.urls[1], alive: true },
      ],
      components: [{ appid: COMPONENT.appid, callbackUrl: receiver.url, pushing: false }],
      accounts: [{ appid: ACCOUNT.appid }],
      authorizations: [{ appid: COMPONENT.appid, authorizer: 'wxb', rotating: false }],
      dateOffsetMs: 0,
    });
    const text = JSON.stringify(json);
    const { secret, token, encodingAesKey, previousToken, previousEncodingAesKey } = COMPONENT;
    for (const hidden of [secret, token, encodingAesKey, previousToken, previousEncodingAesKey]) {
      expect(text).not.toContain(hidden);
    }
    for (const hidden of [ACCOUNT.secret, refreshToken]) expect(text).not.toContain(hidden);
    expect(text).not.toContain('ticket@@@');
  });

  it('shows the ledger, whole or in part, and empties it', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    await mintToken(simulator);
    const whole = (await control(simulator, 'GET ledger')).json;
    expect(whole).toEqual(simulator.ledger);
    const mints = (await control(simulator, 'GET ledger?kind=mints')).json;
    expect(mints).toEqual({ mints: simulator.ledger.mints });
    expect((await control(simulator, 'GET ledger?kind=nonsense')).status).toBe(400);
    await control(simulator, 'DELETE ledger');
    expect(simulator.ledger).toEqual({ mints: [], calls: [], pushes: [], messages: [] });
  });

  it('takes, shows and clears fault rules', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    const rule = { api: '*', times: 2, fault: { type: 'errcode', errcode: -1 } };
    expect((await control(simulator, 'POST faults', rule)).status).toBe(200);
    expect((await control(simulator, 'GET faults')).json).toEqual({ faults: [rule] });
    const { json } = await callApi(simulator, 'api_component_token', {});
    expect(json['errcode']).toBe(-1);
    await control(simulator, 'DELETE faults');
    expect(simulator.faults).toEqual([]);
  });

  it('pushes a ticket when asked for nothing in particular', async () => {
    const { simulator, receiver } = await startWithReceiver({ hosts: 2 });
    const { json } = await control(simulator, 'POST push', {});
    expect(json).toMatchObject({ infoType: 'component_verify_ticket', accepted: true });
    expect(receiver.pushes).toHaveLength(1);
  });

  it('pushes any event or document, with variations', async () => {
    const { simulator, receiver } = await startWithReceiver({ hosts: 2 });
    await control(simulator, 'POST push', {
      appid: COMPONENT.appid,
      info_type: 'unauthorized',
      fields: { AuthorizerAppid: 'wxa' },
      twice: true,
    });
    await control(simulator, 'POST push', { xml: '<xml><A>1</A></xml>' });
    const messages = receiver.pushes.map((push) => open(push));
    expect(messages.map((xml) => element(xml, 'AuthorizerAppid') ?? xml)).toEqual([
      'wxa',
      'wxa',
      '<xml><A>1</A></xml>',
    ]);
  });

  it('lets the next rule of the queue apply to a push without variations', async () => {
    const { simulator, receiver } = await startWithReceiver({ hosts: 2 });
    simulator.addFault({ push: { skip: true } });
    await control(simulator, 'POST push', { twice: true });
    expect(receiver.pushes).toHaveLength(2);
    await control(simulator, 'POST push', {});
    expect(receiver.pushes).toHaveLength(2);
    expect(simulator.faults).toEqual([]);
  });

  it('issues a ticket without a push', async () => {
    const { simulator, receiver } = await startWithReceiver({ hosts: 2 });
    const { json } = await control(simulator, 'POST tickets', {});
    expect(receiver.pushes).toHaveLength(0);
    const reply = await callApi(simulator, 'api_component_token', tokenRequest(json['value']));
    expect(reply.json).toHaveProperty('component_access_token');
  });

  it('turns the schedule on and off', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({ hosts: 2 });
    await control(simulator, 'POST pushing', { on: true });
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
    await control(simulator, 'POST pushing', { on: false, appid: COMPONENT.appid });
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
  });

  it('uses a pre_auth_code', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    const reply = await mintCode(simulator, await mintToken(simulator));
    const code = { code: reply.json['pre_auth_code'] };
    const use = async (): Promise<unknown> =>
      (await control(simulator, 'POST pre-auth-codes/use', code)).json['result'];
    expect(await use()).toBe('ok');
    expect(await use()).toBe('used');
  });

  it('lets an account authorize and end it, and shows who has', async () => {
    const { simulator } = await startSimulator();
    const authorizer = 'wx00000000000000b1';
    const granted = await control(simulator, 'POST authorize', { authorizer, rotating: true });
    expect(granted.status).toBe(200);
    const { refreshToken, accessToken } = granted.json;
    const token = await mintToken(simulator);
    const ask = async () => {
      const { json } = await callApi(
        simulator,
        `api_authorizer_token?component_access_token=${token}`,
        {
          component_appid: COMPONENT.appid,
          authorizer_appid: authorizer,
          authorizer_refresh_token: refreshToken,
        },
      );
      return json;
    };
    expect((await ask())['authorizer_refresh_token']).not.toBe(refreshToken);
    expect(simulator.isLive('authorizer_access_token', String(accessToken))).toBe(false);
    const state = async () => (await control(simulator, 'GET state')).json['authorizations'];
    expect(await state()).toEqual([
      {
        appid: COMPONENT.appid,
        authorizer,
        rotating: true,
        kind: 'official',
        exchanged: true,
      },
    ]);

    await control(simulator, 'POST unauthorize', { authorizer, appid: COMPONENT.appid });
    expect(await ask()).toMatchObject({ errcode: 61003 });
    expect(await state()).toEqual([]);
  });

  it('mints as a stranger who knows the secret', async () => {
    const { simulator } = await startSimulator({ accounts: [ACCOUNT] });
    const ours = await mintToken(simulator);
    const owner = `${COMPONENT.appid}:wxb`;
    await control(simulator, 'POST authorize', { authorizer: 'wxb' });
    for (const [kind, appid] of [
      ['component_access_token'],
      ['access_token', ACCOUNT.appid],
      ['authorizer_access_token', owner],
    ]) {
      const { status } = await control(simulator, 'POST mint-elsewhere', { kind, appid });
      expect(status).toBe(200);
    }
    expect(simulator.isLive('component_access_token', ours)).toBe(false);
    const foreign = simulator.ledger.mints.filter((mint) => mint.foreign);
    expect(foreign.map(({ appid }) => appid)).toEqual([COMPONENT.appid, ACCOUNT.appid, 'wxb']);
  });

  it('puts the Date of answers wrong, and right again', async () => {
    const { simulator } = await startSimulator();
    for (const offsetMs of [2 * MINUTE, -MINUTE, 0]) {
      await control(simulator, 'POST date', { offsetMs });
      const { headers, json } = await control(simulator, 'GET state');
      expect(Date.parse(headers.get('date') ?? '')).toBe(START + offsetMs);
      expect(json).toMatchObject({ now: START, dateOffsetMs: offsetMs });
    }
  });

  it('kills and revives hosts, but never the last one', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    const hosts = (index: number, alive: boolean): Promise<{ status: number }> =>
      control(simulator, 'POST hosts', { index, alive });
    expect((await hosts(1, false)).status).toBe(200);
    await expect(fetch(simulator.urls[1] ?? '')).rejects.toThrow();
    const last = await control(simulator, 'POST hosts', { index: 0, alive: false });
    expect(last.status).toBe(409);
    expect((await hosts(1, true)).status).toBe(200);
    expect((await fetch(simulator.urls[1] ?? '')).status).toBe(200);
    expect((await hosts(7, true)).status).toBe(400);
  });

  it('kills the host that was asked, after its answer', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    const { status } = await control(simulator, 'POST hosts', { index: 0, alive: false });
    expect(status).toBe(200);
    const isDead = async (): Promise<boolean> => {
      try {
        await fetch(simulator.url);
        return false;
      } catch {
        return true;
      }
    };
    while (!(await isDead()));
    expect((await fetch(simulator.urls[1] ?? '')).status).toBe(200);
  });

  it.each([
    ['POST faults', { api: '*', fault: { type: 'explode' } }, /fault/],
    ['POST faults', { api: '*', fault: { type: 'hang' }, times: -1 }, /times/],
    ['POST faults', 'not json', /JSON object/],
    ['POST faults', [], /JSON object/],
    ['POST push', { info_type: 'a', xml: '<xml/>' }, /xml is the whole message/],
    ['POST push', { xml: 'no markup' }, /xml/],
    ['POST push', { nonsense: 1 }, /nonsense/],
    ['POST push', { appid: 'wxnobody' }, /wxnobody/],
    ['POST pushing', { on: 'yes' }, /on/],
    ['POST hosts', { index: 0 }, /alive/],
    ['POST pre-auth-codes/use', {}, /code/],
    ['POST authorize', {}, /authorizer/],
    ['POST authorize', { authorizer: 'wxc:wxb' }, /an appid/],
    ['POST authorize', { authorizer: 'wxb', appid: 'wxnobody' }, /wxnobody/],
    ['POST unauthorize', { authorizer: 'wxb', appid: 'wxnobody' }, /wxnobody/],
    ['POST mint-elsewhere', { kind: 'pre_auth_code' }, /kind/],
    ['POST mint-elsewhere', { kind: 'access_token' }, /no account/],
    ['POST mint-elsewhere', { kind: 'authorizer_access_token' }, /has not authorized/],
    ['POST date', { offsetMs: 1e15 }, /offsetMs/],
  ])('answers %s %j with 400 and the reason', async (route, body, reason) => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    const { status, json } = await control(simulator, route, body);
    expect(status).toBe(400);
    expect(json['error']).toMatch(reason);
  });

  it('says that a push is impossible without a callback URL', async () => {
    const { simulator } = await startSimulator();
    const { status, json } = await control(simulator, 'POST push', {});
    expect(status).toBe(400);
    expect(json['error']).toContain('no callback URL');
  });

  it('lists its routes, and answers any other with 404', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    const { json } = await control(simulator, 'GET ');
    expect(json['routes']).toContain('POST /_simulator/faults');
    expect((await control(simulator, 'GET nonsense')).status).toBe(404);
    expect((await control(simulator, 'PUT faults', {})).status).toBe(404);
  });

  it('answers nobody on another machine, even when the simulator itself does', async () => {
    const world = createWorld({ components: [COMPONENT], allowRemote: true });
    const answer = { status: 0, text: '' };
    const response = {
      writeHead: (status: number) => (answer.status = status),
      end: (bytes: Buffer) => (answer.text = bytes.toString()),
    };
    const incoming = { socket: { remoteAddress: '10.0.0.9' } };
    const request = { method: 'GET', query: new URLSearchParams(), text: '', body: undefined };
    await handleControl({
      world,
      host: 0,
      path: '/_simulator/ledger',
      request,
      incoming: incoming as never,
      response: response as never,
    });
    expect(answer.status).toBe(403);
    expect(answer.text).toContain('this machine only');
  });

  it('leaves no trace in the ledger', async () => {
    const { simulator } = await startWithReceiver({ hosts: 2 });
    await control(simulator, 'GET state');
    expect(simulator.ledger.calls).toEqual([]);
  });
});
