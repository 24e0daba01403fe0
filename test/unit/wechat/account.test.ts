import { describe, expect, it } from 'vitest';
import {
  fetchAccessToken,
  fetchStableAccessToken,
  fetchTicket,
} from '../../../src/wechat/calls/account.ts';
import { WechatError, type WechatApi } from '../../../src/wechat/client.ts';
import { fetchAuthorizerToken } from '../../../src/wechat/calls/authorizer.ts';
import type { TokenAnswer } from '../../../src/wechat/token-answer.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Answers every call with the same fields. */
const answering =
  (fields: Fields, mayHaveRunTwice = false): WechatApi =>
  () =>
    Promise.resolve({ fields, mayHaveRunTwice });

const ACCOUNT = { appid: 'wxcccccccccccccccc', secret: 'secretOfTheAccount' };
const GRANT = {
  componentAppid: 'wxaaaaaaaaaaaaaaaa',
  componentAccessToken: 'COMPONENT-TOKEN',
  authorizerAppid: 'wxbbbbbbbbbbbbbbbb',
  refreshToken: 'refreshtoken@@@former',
};
const CALLS: { name: string; field: string; fetch: (api: WechatApi) => Promise<TokenAnswer> }[] = [
  { name: 'token', field: 'access_token', fetch: (api) => fetchAccessToken(api, ACCOUNT) },
  {
    name: 'stable_token',
    field: 'access_token',
    fetch: (api) => fetchStableAccessToken(api, { ...ACCOUNT, force: false }),
  },
  {
    name: 'getticket',
    field: 'ticket',
    fetch: (api) => fetchTicket(api, { accessToken: 'TOKEN', type: 'jsapi' }),
  },
  {
    name: 'api_authorizer_token',
    field: 'authorizer_access_token',
    fetch: (api) => fetchAuthorizerToken(api, GRANT),
  },
];

describe.each(CALLS)('the answer to $name', ({ name, field, fetch }) => {
  it.each([
    { given: 7200, life: 7200, assumed: false },
    { given: 300, life: 300, assumed: false },
    { given: '7200', life: 7200, assumed: false },
    { given: 7201, life: 7200, assumed: true },
    { given: undefined, life: 600, assumed: true },
    { given: 0, life: 600, assumed: true },
  ])('gives a value for $life s when expires_in is $given', async ({ given, life, assumed }) => {
    expect(await fetch(answering({ [field]: 'VALUE', expires_in: given }))).toMatchObject({
      value: 'VALUE',
      lifeSeconds: life,
      lifeAssumed: assumed,
      mayHaveRunTwice: false,
    });
  });

  it('may be 1024 characters long, and says when there may be another one', async () => {
    const fields = { errcode: 0, errmsg: 'ok', [field]: 'x'.repeat(1024), expires_in: 7200 };
    expect(await fetch(answering(fields, true))).toMatchObject({
      value: 'x'.repeat(1024),
      mayHaveRunTwice: true,
    });
  });

  it.each([
    { what: 'empty', value: '' },
    { what: 'null', value: null },
    { what: 'a number', value: 12345 },
    { what: 'an object', value: { token: 'canary' } },
    { what: 'with spaces', value: 'canary canary' },
    { what: 'with a line break', value: 'canary\n' },
    { what: 'beyond ASCII', value: 'canary™' },
    { what: '1025 characters long', value: 'canary'.padEnd(1025, 'x') },
  ])('is refused when the value is $what, without quoting it', async ({ value }) => {
    const thrown: unknown = await fetch(answering({ [field]: value, expires_in: 7200 })).catch(
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(WechatError);
    expect(thrown).toMatchObject({
      facts: { api: name, fault: 'bad_value', class: 'retry', mayHaveRun: true },
    });
    expect(`${String(thrown)} ${JSON.stringify(thrown)}`).not.toContain('canary');
  });
});

describe('the refresh token in the answer to api_authorizer_token', () => {
  const fetchWith = (more: Fields) =>
    fetchAuthorizerToken(
      answering({ authorizer_access_token: 'VALUE', expires_in: 7200, ...more }),
      GRANT,
    );

  it.each(['refreshtoken@@@next', '!', 'x'.repeat(1024)])(
    'replaces the former one',
    async (one) => {
      expect((await fetchWith({ authorizer_refresh_token: one })).refreshToken).toBe(one);
    },
  );

  it.each([
    { what: 'missing', more: {} },
    { what: 'empty', more: { authorizer_refresh_token: '' } },
    { what: 'null', more: { authorizer_refresh_token: null } },
    { what: 'a number', more: { authorizer_refresh_token: 12345 } },
    { what: 'a list', more: { authorizer_refresh_token: ['x'] } },
    { what: 'with spaces', more: { authorizer_refresh_token: 'a b' } },
    { what: 'with a line break', more: { authorizer_refresh_token: 'ab\n' } },
    { what: 'beyond ASCII', more: { authorizer_refresh_token: 'é' } },
    { what: 'too long', more: { authorizer_refresh_token: 'x'.repeat(1025) } },
  ])('is left out when it is $what; the access token is kept', async ({ more }) => {
    expect(await fetchWith(more)).toEqual({
      value: 'VALUE',
      lifeSeconds: 7200,
      lifeAssumed: false,
      mayHaveRunTwice: false,
      refreshToken: undefined,
    });
  });
});
