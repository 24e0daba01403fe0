import { describe, expect, it } from 'vitest';
import {
  callApi,
  COMPONENT,
  MINUTE,
  mintCode,
  mintToken,
  OTHER_COMPONENT,
  startSimulator,
} from './harness.ts';

const RID = / rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$/;

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
    await clock.advance(30 * MINUTE);
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
