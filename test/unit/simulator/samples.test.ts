import { describe, expect, it } from 'vitest';
import { SAMPLE_AUTHORIZER, SAMPLED } from '../../../src/sandbox/wechat/samples.ts';
import { parsePushXml } from '../../kit/parse-push-xml.ts';
import { callApi, COMPONENT, control, mintToken, open, startWithReceiver } from './harness.ts';
import type { Json } from './platform.ts';

async function startPushing() {
  const setup = await startWithReceiver();
  const { receiver, simulator } = setup;
  const token = await mintToken(simulator);
  return {
    ...setup,
    /** The last push as a service reads it. */
    last: () => {
      const push = receiver.pushes.at(-1);
      return push === undefined ? {} : parsePushXml(open(push));
    },
    exchange: async (code: unknown) => {
      const path = `api_query_auth?component_access_token=${token}`;
      const body = { component_appid: COMPONENT.appid, authorization_code: code };
      return (await callApi(simulator, path, body)).json['authorization_info'] as Json;
    },
  };
}

describe('a push without fields', () => {
  it.each(SAMPLED)('carries those of a sample: %s', async (infoType) => {
    const { simulator, last } = await startPushing();
    expect(await simulator.push(undefined, infoType)).toMatchObject({ infoType, accepted: true });
    const { AppId, CreateTime, InfoType, ...fields } = last();
    expect([AppId, InfoType]).toEqual([COMPONENT.appid, infoType]);
    expect(CreateTime).toMatch(/^\d{10}$/);
    expect(Object.keys(fields).length).toBeGreaterThan(0);
  });

  it('carries nothing more for an InfoType that is not known', async () => {
    const { simulator, last } = await startPushing();
    for (const infoType of ['something_new', 'constructor']) {
      await simulator.push(undefined, infoType);
      expect(Object.keys(last())).toEqual(['AppId', 'CreateTime', 'InfoType']);
    }
  });

  it('brings a mini-program into the world when one was registered', async () => {
    const { simulator, last, exchange } = await startPushing();
    await simulator.push(undefined, 'notify_third_fasteregister');
    const { appid, status, auth_code: code, info } = last();
    expect(appid).toMatch(/^wx[0-9a-f]{16}$/);
    expect(status).toBe('0');
    expect(info).toMatchObject({ code_type: '1', legal_persona_name: '张三' });
    expect(await exchange(code)).toMatchObject({ authorizer_appid: appid });
    await simulator.push(undefined, 'notify_third_fasteregister');
    expect(last()['appid']).not.toBe(appid);
  });

  it('of an authorization has a code that works, and an update keeps the refresh token', async () => {
    const { simulator, last, exchange } = await startPushing();
    await simulator.push(undefined, 'authorized');
    const first = await exchange(last()['AuthorizationCode']);
    expect(first).toMatchObject({ authorizer_appid: SAMPLE_AUTHORIZER });
    await simulator.push(undefined, 'updateauthorized');
    const second = await exchange(last()['AuthorizationCode']);
    expect(second['authorizer_refresh_token']).toBe(first['authorizer_refresh_token']);
    // Of the end there is only word: pushUnauthorized is what ends it.
    await simulator.push(undefined, 'unauthorized');
    expect(simulator.refreshTokenOf(COMPONENT.appid, SAMPLE_AUTHORIZER)).toBeDefined();
  });
});

describe('a push with fields', () => {
  it('has these alone, nested ones inside each other', async () => {
    const { simulator, last } = await startPushing();
    const fields = { info: { name: 'a]]>b', deeper: { number: 5 } }, status: 1 };
    await simulator.push(undefined, 'notify_third_fasteregister', fields);
    expect(last()).toMatchObject({
      info: { name: 'a]]>b', deeper: { number: '5' } },
      status: '1',
    });
    expect(last()).not.toHaveProperty('auth_code');
    await simulator.push(undefined, 'authorized', {});
    expect(last()).not.toHaveProperty('AuthorizationCode');
  });

  it('can be asked for by the control API', async () => {
    const { simulator, receiver, last } = await startPushing();
    const body = { info_type: 'any', fields: { info: { unique_id: 'u', list: { n: 1 } } } };
    expect((await control(simulator, 'POST push', body)).status).toBe(200);
    expect(last()['info']).toEqual({ unique_id: 'u', list: { n: '1' } });
    const bad = { info_type: 'any', fields: { info: [true] } };
    expect((await control(simulator, 'POST push', bad)).status).toBe(400);
    expect(receiver.pushes).toHaveLength(1);
  });
});
