import { describe, expect, it } from 'vitest';
import {
  COMPONENT,
  control,
  element,
  MINUTE,
  open,
  SECOND,
  START,
  startWithReceiver,
} from './harness.ts';
import { AUTHORIZER } from './platform.ts';

const NOW = START / SECOND;
const NAMES = ['InfoType', 'CreateTime', 'AuthorizerAppid', 'AuthorizationCode'];

async function startPushing() {
  const setup = await startWithReceiver();
  const { receiver, simulator } = setup;
  return {
    ...setup,
    last(name: string): string | undefined {
      const push = receiver.pushes.at(-1);
      return push && element(open(push), name);
    },
    grant: () => simulator.grant(COMPONENT.appid, AUTHORIZER).code,
  };
}

describe('the event of an authorization', () => {
  it('carries the code, the instant of its end, and a pre_auth_code', async () => {
    const { simulator, clock, last, grant } = await startPushing();
    const code = grant();
    await clock.advance(MINUTE);
    const record = await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, code);
    expect(record).toMatchObject({ infoType: 'authorized', accepted: true });
    expect(NAMES.map(last)).toEqual(['authorized', String(NOW + 60), AUTHORIZER, code]);
    expect(last('AuthorizationCodeExpiredTime')).toBe(String(NOW + 600));
    expect(last('PreAuthCode')).toMatch(/^preauthcode@@@/);
  });

  it('can be of another type and time, and state a duration', async () => {
    const { simulator, last, grant } = await startPushing();
    const code = grant();
    await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, code, {
      infoType: 'updateauthorized',
      createTime: NOW - 5,
      absoluteExpiry: false,
      preAuthCode: 'preauthcode@@@mine',
    });
    expect(NAMES.map(last)).toEqual(['updateauthorized', String(NOW - 5), AUTHORIZER, code]);
    expect(last('AuthorizationCodeExpiredTime')).toBe('600');
    expect(last('PreAuthCode')).toBe('preauthcode@@@mine');
  });

  it('may carry a code that nobody issued', async () => {
    const { simulator, last } = await startPushing();
    await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, 'forged');
    expect(last('AuthorizationCodeExpiredTime')).toBe(String(NOW + 600));
  });

  it('rejects without such a component', async () => {
    const { simulator } = await startPushing();
    await expect(simulator.pushAuthorized('wxnobody', AUTHORIZER, 'c')).rejects.toThrow('wxnobody');
    await expect(simulator.pushUnauthorized('wxnobody', AUTHORIZER)).rejects.toThrow('wxnobody');
  });
});

describe('the event of its end', () => {
  it('ends the authorization', async () => {
    const { simulator, last } = await startPushing();
    const { accessToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    await simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER);
    expect(['InfoType', 'CreateTime', 'AuthorizerAppid'].map(last)).toEqual([
      ...['unauthorized', String(NOW), AUTHORIZER],
    ]);
    expect(simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER)).toBeUndefined();
    expect(simulator.isLive('authorizer_access_token', accessToken)).toBe(false);
  });

  it('can come late, and leave a newer authorization alone', async () => {
    const { simulator, last } = await startPushing();
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const createTime = NOW - 100;
    await simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER, { keep: true, createTime });
    expect(last('CreateTime')).toBe(String(createTime));
    expect(simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER)).toBe(refreshToken);
  });
});

describe('the control API', () => {
  it('plays merchants: populate, grant and both events', async () => {
    const { simulator, last } = await startPushing();
    const call = async (path: string, body: object) =>
      (await control(simulator, `POST ${path}`, body)).json;
    expect(await call('populate', { count: 2, from: 10 })).toEqual({
      count: 2,
      first: 'wxa00000000000000a',
      last: 'wxa00000000000000b',
    });
    const grant = await call('grant', { authorizer: AUTHORIZER, twoCodes: true, kind: 'mini' });
    expect(grant['redirectCode']).not.toBe(grant['eventCode']);
    const { eventCode: code } = grant;
    const infoType = 'updateauthorized';
    expect(await call('push-authorized', { authorizer: AUTHORIZER, code, infoType })).toMatchObject(
      { accepted: true },
    );
    expect(NAMES.map(last)).toEqual([infoType, String(NOW), AUTHORIZER, code]);
    const { json } = await control(simulator, 'GET state');
    expect(json).toMatchObject({ authorizationCount: 3 });
    expect((json['authorizations'] as unknown[])[2]).toEqual({
      appid: COMPONENT.appid,
      authorizer: AUTHORIZER,
      rotating: false,
      kind: 'mini',
      exchanged: false,
    });
    await call('push-unauthorized', { authorizer: AUTHORIZER });
    expect(last('InfoType')).toBe('unauthorized');
    expect((await control(simulator, 'GET state')).json).toMatchObject({ authorizationCount: 2 });
  });

  it.each([
    ['grant', {}],
    ['grant', { authorizer: 'a:b' }],
    ['grant', { authorizer: AUTHORIZER, kind: 'shop' }],
    ['grant', { authorizer: AUTHORIZER, colour: 'red' }],
    ['grant', { authorizer: AUTHORIZER, preAuthCode: 'unknown' }],
    ['grant', { authorizer: AUTHORIZER, update: true }],
    ['grant', { authorizer: AUTHORIZER, appid: 'wxnobody' }],
    ['push-authorized', { authorizer: AUTHORIZER }],
    ['push-authorized', { authorizer: AUTHORIZER, code: 'c', infoType: 'unauthorized' }],
    ['push-unauthorized', { authorizer: AUTHORIZER, createTime: -1 }],
    ['populate', {}],
    ['populate', { count: 0 }],
    ['populate', { count: 1e9 }],
  ])('refuses for %s the body %j', async (path, body) => {
    const { simulator, receiver } = await startPushing();
    expect((await control(simulator, `POST ${path}`, body)).status).toBe(400);
    expect(receiver.pushes).toEqual([]);
    expect((await control(simulator, 'GET state')).json).toMatchObject({ authorizationCount: 0 });
  });
});
