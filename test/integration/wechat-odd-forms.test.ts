import { afterEach, describe, expect, it } from 'vitest';
import {
  authorizationOf,
  AUTHORIZED,
  AUTHORIZER_API,
  platformBeforeAuthorizerRefresh,
} from '../kit/authorizers.ts';
import { examinePlatform } from '../kit/doctor.ts';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import { AUTHORIZER, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { FAILED, MINT_API, NEEDS_PERSON } from '../kit/scenario.ts';
import { secondsUntil } from '../kit/waiting.ts';

const INFO_API = 'api_get_authorizer_info';

let platform: TestPlatform;
afterEach(() => platform.close());

const answerOnce = (body: string) =>
  platform.simulator.addFault({ api: MINT_API, fault: { type: 'body', body } });

async function firstTicket() {
  await platform.simulator.pushTicket();
  await platform.settle();
}

describe('row 123: the address that is not on the whitelist', () => {
  it.each([
    {
      errcode: 40164,
      shown: '203.0.113.7',
      errmsg: 'invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist',
    },
    {
      errcode: 61004,
      shown: '203.0.113.7',
      errmsg: 'access clientip is not registered requestIP: 203.0.113.7',
    },
    {
      errcode: 40164,
      shown: '2409:8a55:c1::7',
      errmsg: 'invalid ip 2409:8a55:00c1:0000:0000:0000:0000:0007, not in whitelist',
    },
    {
      errcode: 61004,
      shown: '2409:8a55:c1::7',
      errmsg: 'access clientip is not registered requestIP: 2409:8a55:c1::7',
    },
    { errcode: 40090, shown: '203.0.113.7', errmsg: 'bad client ip ::ffff:cb00:7107' },
  ])('stands in status, log and doctor: $errmsg ($errcode)', async ({ errcode, errmsg, shown }) => {
    platform = await createTestPlatform();
    platform.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode, errmsg },
    });
    await firstTicket();
    const { credential, problems } = await statusOf(platform, TOKEN);
    expect(credential.last_error?.message).toContain(`(${shown})`);
    expect(problems.find(({ code }) => code === 'address_not_whitelisted')?.message).toContain(
      `(${shown})`,
    );
    const chinese = await platform.internal('/status?lang=zh');
    expect(await chinese.text()).toContain(shown);
    expect(logged(platform, NEEDS_PERSON, TOKEN.kind)).toMatchObject([
      { failure: { errcode, message: expect.stringContaining(`(${shown})`) as string } },
    ]);
    const line = (await examinePlatform(platform)).find(
      ({ group, code }) => group === 'whitelist' && code === 'address_not_whitelisted',
    );
    expect(line?.seen.en).toContain(`(${shown})`);
    expect(line?.seen.zh).toContain(`（${shown}）`);
  });
});

describe('row 124: forms in which WeChat answers', () => {
  const MARK = '\uFEFF';

  it.each([
    {
      name: 'after a byte order mark',
      body: `${MARK}{"component_access_token":"t","expires_in":7200}`,
    },
    { name: 'between blanks', body: '\r\n {"component_access_token":"t","expires_in":"7200"}\n' },
    {
      name: 'with an errcode of 0 as a text',
      body: '{"errcode":"0","errmsg":"ok","component_access_token":"t","expires_in":"7200"}',
    },
  ])('a token $name', async ({ body }) => {
    platform = await createTestPlatform();
    answerOnce(body);
    platform.simulator.addFault({
      api: 'api_create_preauthcode',
      times: 'forever',
      fault: { type: 'body', body: ' {"pre_auth_code":"p","expires_in":"1800"}' },
    });
    await firstTicket();
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: 't',
      expires_in: 7200,
    });
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
  });

  it.each([
    { name: 'as a text', body: '{"errcode":"45009","errmsg":"reach max api daily quota limit"}' },
    { name: 'beside an empty token', body: '{"errcode":45009,"component_access_token":""}' },
    {
      name: 'beside a token that is null',
      body: '{"errcode":"45009","component_access_token":null}',
    },
    { name: 'after a byte order mark', body: `${MARK}{"errcode":45009}` },
  ])('an errcode $name', async ({ body }) => {
    platform = await createTestPlatform();
    answerOnce(body);
    await firstTicket();
    const { credential } = await statusOf(platform, TOKEN);
    expect(credential.last_error).toMatchObject({ class: 'quota', errcode: 45009 });
  });

  it('an errcode of 0 as a text is a success where nothing else is', async () => {
    platform = await createTestPlatform();
    platform.simulator.addFault({
      api: 'api_start_push_ticket',
      fault: { type: 'body', body: '{"errcode":"0","errmsg":"ok"}' },
    });
    await platform.pass(2 * MINUTE);
    expect(logged(platform, 'asked WeChat to push tickets again')).toHaveLength(1);
  });

  it.each([40030, 42002])(
    'a refresh token that is refused with %d: WeChat is asked for the one that it takes',
    async (errcode) => {
      platform = await platformBeforeAuthorizerRefresh();
      const since = platform.clock.now();
      const refreshToken = 'refreshtoken@@@named-by-wechat';
      const named = { authorizer_appid: AUTHORIZER, authorizer_refresh_token: refreshToken };
      platform.simulator.addFault({ api: AUTHORIZER_API, fault: { type: 'errcode', errcode } });
      platform.simulator.addFault({
        api: INFO_API,
        // The whole field as a text, and ids that are texts in it.
        fault: {
          type: 'patch',
          fields: {
            authorization_info: JSON.stringify({
              ...named,
              func_info: [{ funcscope_category: { id: '1' } }],
            }),
          },
        },
      });
      platform.simulator.addFault({
        api: AUTHORIZER_API,
        fault: { type: 'body', body: '{"authorizer_access_token":"next","expires_in":"7200"}' },
      });
      await secondsUntil(platform, 90, async () => {
        expect((await stored(platform, AUTHORIZED)).kept).toMatchObject({
          seq: '2',
          value: 'next',
        });
      });
      expect(callsSince(platform, INFO_API, since)).toHaveLength(1);
      expect(await authorizationOf(platform)).toMatchObject({
        refreshToken,
        awaitsReauthorization: false,
      });
    },
  );
});
