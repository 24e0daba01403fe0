import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { notices } from '../../src/callbacks/handlers/notices.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { readAuthorizer } from '../../src/store/authorizers/profile.ts';
import { expectServed } from '../kit/expect.ts';
import { logged } from '../kit/observe.ts';
import { AUTHORIZER, COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';

/** What WeChat tells a platform about registrations and filings, pushed as WeChat pushes it. */

const ODD = 'an event does not have its documented fields; it is stored as it is';
const SUCCESS = { status: 200, answer: 'success' };
const NEW = 'wx00000000000000c1';
const company = { name: '广州示例公司', code: '914400001234567890', code_type: '1' };

interface Fields {
  readonly [name: string]: string | Fields;
}

/** Each notice as the pages show it, but for AppId, InfoType and CreateTime. */
const NOTICES: readonly { infoType: string; name?: string; fields: Fields; lacks: string }[] = [
  {
    infoType: 'notify_third_fasteregister',
    name: 'of a company that failed',
    fields: { appid: NEW, status: '100001', msg: '已下发的模板消息法人并未确认', info: company },
    lacks: 'status',
  },
  {
    infoType: 'notify_third_fasteregister',
    name: 'of a person',
    fields: { appid: NEW, status: '86004', info: { wxuser: 'user', idname: '张三' } },
    lacks: 'appid',
  },
  {
    infoType: 'notify_third_fastregisterbetaapp',
    fields: { appid: NEW, status: '0', info: { unique_id: 'oID', name: '试用小程序' } },
    lacks: 'info',
  },
  {
    infoType: 'notify_third_fastverifybetaapp',
    fields: { appid: NEW, status: '0', info: company },
    lacks: 'info',
  },
  {
    infoType: 'notify_3rd_wxa_auth',
    fields: { appid: NEW, taskid: 'kl9G4', task_status: '3', apply_status: '0' },
    lacks: 'taskid',
  },
  {
    infoType: 'notify_3rd_wxa_wxverify',
    fields: { appid: NEW, expired: '1743660000', message: '请尽快完成年审' },
    lacks: 'expired',
  },
  {
    infoType: 'notify_icpfiling_verify_result',
    fields: { task_id: 'abc123', verify_appid: NEW, result: '2' },
    lacks: 'result',
  },
  {
    infoType: 'notify_apply_icpfiling_result',
    fields: { authorizer_appid: AUTHORIZER, beian_status: '4' },
    lacks: 'beian_status',
  },
  {
    infoType: 'notify_3rd_wxa_auth_and_icp',
    fields: { procedure_id: 'p1', procedure_status: '12' },
    lacks: 'procedure_status',
  },
  {
    infoType: 'order_path_apply_result_notify',
    fields: { list: { appid: NEW, errcode: '0' } },
    lacks: 'list',
  },
  {
    infoType: 'order_path_audit_result_notify',
    fields: { list: { appid: NEW, audit_status: '1' } },
    lacks: 'list',
  },
  { infoType: 'wxa_nickname_audit', fields: { ret: '3', nickname: '示例' }, lacks: 'nickname' },
];

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform({ ticket: true });
});
afterAll(() => platform.close());
beforeEach(() => {
  platform.logs.length = 0;
});

const xmlOf = (fields: Fields): string =>
  Object.entries(fields)
    .map(([name, value]) => {
      const inner = typeof value === 'string' ? `<![CDATA[${value}]]>` : xmlOf(value);
      return `<${name}>${inner}</${name}>`;
    })
    .join('');

/** Pushes it in a second of its own, and says what of it is in the stream. */
async function push(infoType: string, fields: Fields) {
  const { simulator, clock, redis, keys } = platform;
  const stream = keys.events(COMPONENT.appid);
  await clock.advance(1_000);
  const known = await redis.xlen(stream);
  const head = { AppId: COMPONENT.appid, CreateTime: String(clock.now() / 1000) };
  const whole = { ...head, InfoType: infoType, ...fields };
  const record = await simulator.push(undefined, `<xml>${xmlOf(whole)}</xml>`);
  await platform.settle();
  expect(record).toMatchObject(SUCCESS);
  expect(await redis.xlen(stream)).toBe(known + 1);
  const [entry] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1);
  const flat = entry?.[1] ?? [];
  const stored = Object.fromEntries(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])),
  );
  expect(stored).toMatchObject({ info_type: infoType, component_appid: COMPONENT.appid });
  return {
    whole,
    stored,
    text: flat.join('\n'),
    fields: JSON.parse(stored['fields'] ?? '') as Fields,
  };
}

const cases = NOTICES.map((one) => ({ ...one, title: [one.infoType, one.name].join(' ').trim() }));

describe('a notice', () => {
  it('is known of every kind that has a handler', () => {
    const known = new Set(NOTICES.map(({ infoType }) => infoType));
    expect([...known].toSorted()).toEqual(notices.map(({ infoType }) => infoType).toSorted());
  });

  it.each(cases)('$title is stored as it came', async ({ infoType, fields }) => {
    const { whole, fields: kept } = await push(infoType, fields);
    expect(kept).toEqual(whole);
    expect(logged(platform, ODD)).toEqual([]);
    const ofPushes = platform.logs.filter(({ room }) => room === 'pushes');
    expect(ofPushes).toMatchObject([{ level: 'info', message: 'push accepted', type: infoType }]);
  });

  it.each(cases)(
    '$title with a code in it is stored without that',
    async ({ infoType, fields }) => {
      const {
        whole,
        fields: kept,
        text,
      } = await push(infoType, {
        ...fields,
        auth_code: 'queryauthcode@@@secret',
      });
      expect(text).not.toContain('secret');
      expect({ ...kept, auth_code: 'queryauthcode@@@secret' }).toEqual(whole);
      expect(JSON.stringify(platform.logs)).not.toContain('secret');
    },
  );

  it.each(cases)('$title without $lacks is stored, with a warning', async (one) => {
    const { infoType, fields, lacks } = one;
    const rest = Object.fromEntries(Object.entries(fields).filter(([name]) => name !== lacks));
    const { whole, fields: kept } = await push(infoType, { ...rest, auth_code: 'secret' });
    expect({ ...kept, auth_code: 'secret' }).toEqual(whole);
    expect(logged(platform, ODD)).toMatchObject([
      { level: 'warn', component: COMPONENT.appid, type: infoType },
    ]);
    expect(logged(platform, ODD)[0]?.['fields']).toContain(lacks);
    expect(JSON.stringify(platform.logs)).not.toContain('secret');
  });
});

describe('the event of an authorization', () => {
  const code = { AuthorizationCode: 'queryauthcode@@@secret', PreAuthCode: 'preauthcode@@@secret' };

  it.each(['authorized', 'updateauthorized'])(
    '%s is stored without its codes',
    async (infoType) => {
      const fields = { AuthorizerAppid: AUTHORIZER, AuthorizationCodeExpiredTime: '600' };
      const { whole, fields: kept, text } = await push(infoType, { ...fields, ...code });
      expect({ ...kept, ...code }).toEqual(whole);
      expect(text).not.toContain('secret');
      expect(JSON.stringify(platform.logs)).not.toContain('secret');
      expect(logged(platform, ODD)).toEqual([]);
    },
  );

  it.each([
    { name: 'without an appid', fields: {}, odd: 'AuthorizerAppid' },
    { name: 'with a bad appid', fields: { AuthorizerAppid: 'gh_1' }, odd: 'AuthorizerAppid' },
    {
      name: 'with a code that is none',
      fields: { AuthorizerAppid: AUTHORIZER, AuthorizationCode: 'secret code' },
      odd: 'AuthorizationCode',
    },
  ])('$name is stored without its codes, with a warning', async ({ fields, odd }) => {
    const exchanges = await platform.redis.hlen(platform.keys.exchanges(COMPONENT.appid));
    const { text } = await push('authorized', { ...code, ...fields });
    expect(text).not.toContain('secret');
    expect(logged(platform, ODD)).toMatchObject([{ level: 'warn', fields: [odd] }]);
    expect(await platform.redis.hlen(platform.keys.exchanges(COMPONENT.appid))).toBe(exchanges);
  });
});

describe('a mini-program that was registered through us (notify_third_fasteregister)', () => {
  const registered = { appid: AUTHORIZER, status: '0', msg: 'OK', info: company };

  it('has authorized the platform: its code becomes a token that is kept', async () => {
    const { redirectCode } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER, {
      kind: 'mini',
    });
    const { text } = await push('notify_third_fasteregister', {
      ...registered,
      auth_code: redirectCode,
    });
    expect(text).not.toContain(redirectCode);
    const refreshToken = platform.simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER) ?? '';
    await expectServed(platform, { seq: 1, refreshToken });
    expect(await readAuthorizer(platform.store, COMPONENT.appid, AUTHORIZER)).toMatchObject({
      state: 'authorized',
      type: 'mini_program',
    });
    await platform.skip(2 * 3_600_000);
    await expectServed(platform, { seq: 2, refreshToken });
  });

  it.each([
    { name: 'the registration failed', fields: { status: '100002' } },
    { name: 'there is no code', fields: { auth_code: '' } },
  ])('brings nothing when $name', async ({ fields }) => {
    const exchanges = platform.keys.exchanges(COMPONENT.appid);
    const before = await platform.redis.hlen(exchanges);
    const { text } = await push('notify_third_fasteregister', {
      ...registered,
      appid: NEW,
      auth_code: 'queryauthcode@@@secret',
      ...fields,
    });
    expect(text).not.toContain('secret');
    expect(await platform.redis.hlen(exchanges)).toBe(before);
    const id = authorizerToken(COMPONENT.appid, NEW);
    expect(await platform.redis.exists(platform.keys.record(id))).toBe(0);
    expect(await readAuthorizer(platform.store, COMPONENT.appid, NEW)).toBeUndefined();
  });
});
