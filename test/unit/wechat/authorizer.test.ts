import { describe, expect, it } from 'vitest';
import type { WechatApi } from '../../../src/wechat/client.ts';
import { fetchAuthorizerInfo } from '../../../src/wechat/calls/authorizer.ts';

const APPID = 'wxfedcba9876543210';

/** The profile that is read out of this answer of api_get_authorizer_info. */
async function profileOf(info: Readonly<Record<string, unknown>>) {
  const api: WechatApi = () =>
    Promise.resolve({ fields: { authorizer_info: info }, mayHaveRunTwice: false });
  const call = { componentAppid: 'wx0123456789abcdef', componentAccessToken: 'token' };
  return (await fetchAuthorizerInfo(api, { ...call, authorizerAppid: APPID })).profile;
}

describe('the profile of an account', () => {
  it.each([
    [{ id: 0 }, 0],
    [{ id: -1 }, -1],
    [{ id: '3' }, 3],
    [{ id: '' }, undefined],
    [{ id: null }, undefined],
    [{ id: true }, undefined],
    [{}, undefined],
    [null, undefined],
    [undefined, undefined],
  ])('reads verify_type_info %j as %j: nothing must not pass for certified', async (info, type) => {
    expect((await profileOf({ verify_type_info: info })).verifyType).toBe(type);
  });

  it.each([
    [1, 1],
    ['14', 14],
    [null, undefined],
    ['', undefined],
  ])('reads account_status %j as %j', async (status, expected) => {
    expect((await profileOf({ account_status: status })).accountStatus).toBe(expected);
  });

  it.each([
    [{}, 'official_account'],
    [{ MiniProgramInfo: null }, 'official_account'],
    [{ MiniProgramInfo: {} }, 'mini_program'],
  ])('takes %j for that of an account of type %s', async (info, type) => {
    expect((await profileOf(info)).type).toBe(type);
  });
});
