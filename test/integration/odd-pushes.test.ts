import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { userNameOf } from '../../src/sandbox/wechat/authorizer-profile.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { mergeAuthorizer } from '../../src/store/authorizers/profile.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  eventCount,
  EVENTS,
  MESSAGES,
  newestEvents,
  post,
  type PostedPush,
  pushCounts,
} from '../kit/public-listener.ts';
import { encryptPush, type EnvelopeOptions, outerXml, ticketXml } from '../kit/push-envelope.ts';

/** What WeChat signed is stored and acted upon, whatever in it is odd. */

/** As the service learns from WeChat. */
const ACCOUNT = userNameOf(AUTHORIZER);

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
});
afterAll(() => platform.close());
// So that no test meets a push of the one before.
beforeEach(() => platform.pass(MINUTE));

const now = () => Math.floor(platform.clock.now() / 1000);
const sealed = (text: string | Buffer, options: EnvelopeOptions = {}) =>
  encryptPush(text, { timestamp: now(), ...options });
const message = (inner = '') =>
  `<xml><ToUserName><![CDATA[${ACCOUNT}]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>` +
  `<CreateTime>${now()}</CreateTime><MsgType><![CDATA[text]]></MsgType>${inner}</xml>`;
const content = (text: string) => message(`<Content><![CDATA[${text}]]></Content>`);
const authorized = (code: string, more = '') =>
  `<xml><AppId>${COMPONENT.appid}</AppId><CreateTime>${now()}</CreateTime>` +
  `<InfoType>authorized</InfoType><AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>` +
  `<AuthorizationCode>${code}</AuthorizationCode>${more}</xml>`;
const ticket = (value: string) => ticketXml({ ticket: value, createTime: now() });
/** A code that WeChat would take, and a ticket to take it with. */
async function grant(): Promise<string> {
  await platform.simulator.pushTicket();
  await platform.settle();
  return platform.simulator.grant(COMPONENT.appid, AUTHORIZER).code;
}
const exchanged = () =>
  platform.simulator.ledger.calls.filter((one) => one.api === 'api_query_auth').length;
const storedTicket = () => platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid));

/** Posts, expects one entry more, and returns it with its fields parsed. */
async function stored(
  push: PostedPush,
  path = EVENTS,
  headers: Record<string, string> = {},
): Promise<Record<string, string> & { all: Record<string, unknown> }> {
  const before = await eventCount(platform);
  expect(await post(platform, push, path, headers)).toBe('200 success');
  expect(await eventCount(platform)).toBe(before + 1);
  const [entry = {}] = await newestEvents(platform);
  return { ...entry, all: JSON.parse(entry.fields ?? '') as Record<string, unknown> } as never;
}

const CONTROLS = ['\0', '\x01', '\x08', '\x0B', '\x10', '\x14', '\x1D', '\x1F', '\x7F', '\uFFFE'];

describe('row 101: control characters', () => {
  it.each(CONTROLS)('%j in what was scanned or typed is kept', async (one) => {
    const scanned = `<Event>scancode_waitmsg</Event><ScanCodeInfo><ScanResult><![CDATA[01${one}10]]></ScanResult></ScanCodeInfo>`;
    const { all, odd, event } = await stored(sealed(message(scanned)), MESSAGES);
    expect(all).toMatchObject({ ScanCodeInfo: { ScanResult: `01${one}10` } });
    expect({ odd, event }).toEqual({ odd: 'control_characters', event: 'scancode_waitmsg' });
    const typed = await stored(sealed(content(`a${one}b`)), MESSAGES);
    expect(typed.all).toMatchObject({ Content: `a${one}b` });
  });

  it.each(CONTROLS)(
    '%j in an unknown field of `authorized` does not lose the code',
    async (one) => {
      const before = exchanged();
      await stored(sealed(authorized(await grant(), `<Note>a${one}b</Note>`)));
      expect(exchanged()).toBe(before + 1);
    },
  );

  it.each(CONTROLS)('%j beside Encrypt is not even looked at', async (one) => {
    const { query, encrypt } = sealed(content('hello'));
    const body = `<xml><Content><![CDATA[${one}]]></Content><Encrypt>${encrypt}</Encrypt></xml>`;
    await stored({ query, body }, MESSAGES);
  });
});

describe('row 109: broken UTF-8', () => {
  it.each([
    ['half an emoji', [0xf0, 0x9f, 0x98]],
    ['a byte that UTF-8 does not have', [0xff]],
    ['a surrogate', [0xed, 0xa0, 0xbd]],
    ['an overlong slash', [0xc0, 0xaf]],
  ])('%s in `authorized` is replaced and noted, and the code exchanged', async (_what, bytes) => {
    const before = exchanged();
    const [head = '', tail = ''] = authorized(await grant(), '<Note>-</Note>').split('-</Note>');
    const broken = Buffer.concat([
      Buffer.from(head),
      Buffer.from(bytes),
      Buffer.from(`</Note>${tail}`),
    ]);
    const { all, odd } = await stored(sealed(broken));
    expect(all.Note).toContain('\uFFFD');
    expect(odd).toBe('broken_utf8');
    expect(exchanged()).toBe(before + 1);
  });

  it('does not make one of pushes that differ in it alone, and each is known when it comes again', async () => {
    const [head = '', tail = ''] = message('<Event>scancode_push</Event><Key>-</Key>').split('-<');
    const event = (byte: number) =>
      Buffer.concat([Buffer.from(head), Buffer.from([byte]), Buffer.from(`<${tail}`)]);
    for (const byte of [0xff, 0xfe, 0xc0]) await stored(sealed(event(byte)), MESSAGES);
    const before = await eventCount(platform);
    const again = sealed(event(0xfe), { random: 'fedcba9876543210', nonce: 'anew' });
    expect(await post(platform, again, MESSAGES)).toBe('200 success');
    expect(await eventCount(platform)).toBe(before);
  });

  it('in a ticket event leaves the ticket whole', async () => {
    const value = `ticket@@@${now()}`;
    const xml = Buffer.from(ticket(value).replace('</xml>', '<Note>-</Note></xml>'));
    xml[xml.lastIndexOf('-')] = 0xff;
    await stored(sealed(xml));
    expect(await storedTicket()).toBe(value);
  });
});

describe('row 112: what nobody needs and nothing vouches for', () => {
  const bodies = (encrypt: string): [string, string][] => [
    ['no AppId', `<xml><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`],
    ['an AppId of another', outerXml(encrypt, 'wxaaaaaaaaaaaaaaaa')],
    ['no CDATA', `<xml><Encrypt>${encrypt}</Encrypt></xml>`],
    ['line breaks around it', `<xml><Encrypt>\r\n${encrypt}\r\n</Encrypt></xml>`],
    ['line breaks in its CDATA', `<xml><Encrypt><![CDATA[\n ${encrypt}\n\t]]></Encrypt></xml>`],
    ['line breaks around CDATA', `<xml><Encrypt>\n<![CDATA[${encrypt}]]>\n</Encrypt></xml>`],
    ['wrapped lines', `<xml><Encrypt>${encrypt.replace(/(.{76})/g, '$1\r\n')}</Encrypt></xml>`],
    ['&nbsp; beside it', `<xml><A>&nbsp;&x;</A><Encrypt>${encrypt}</Encrypt></xml>`],
    ['a comment', `<xml><!-- <Encrypt> --><Encrypt>${encrypt}</Encrypt></xml>`],
    ['a doctype', `<!DOCTYPE x [<!ENTITY y "z">]><xml><Encrypt>${encrypt}</Encrypt></xml>`],
    ['half an element', `<xml><A><Encrypt>${encrypt}</Encrypt>`],
    ['an attribute', `<xml><Encrypt a="b">${encrypt}</Encrypt></xml>`],
    ['another Encrypt', `<xml><Encrypt>x</Encrypt><Encrypt>${encrypt}</Encrypt></xml>`],
    ['another behind it', `<xml><Encrypt>${encrypt}</Encrypt><Encrypt>x</Encrypt></xml>`],
    ['two documents', outerXml(encrypt).repeat(2)],
    ['a byte order mark', `\uFEFF\n${outerXml(encrypt)}`],
  ];

  it.each(bodies('').map(([what], index) => [what, index] as const))(
    'in the outer document: %s',
    async (_what, index) => {
      const { query, encrypt } = sealed(content('hello'));
      await stored({ query, body: bodies(encrypt)[index]?.[1] ?? '' }, MESSAGES);
      const value = `ticket@@@${now()}`;
      const event = sealed(ticket(value));
      await stored({ query: event.query, body: bodies(event.encrypt)[index]?.[1] ?? '' });
      expect(await storedTicket()).toBe(value);
    },
  );

  it('bytes that are no UTF-8 beside Encrypt', async () => {
    const { query, encrypt } = sealed(content('hello'));
    const body = Buffer.from(`<xml><A>-</A><Encrypt>${encrypt}</Encrypt></xml>`);
    body[body.indexOf('-')] = 0xff;
    await stored({ query, body }, MESSAGES);
  });

  it.each([
    [{ 'content-type': '' }],
    [{ 'content-type': '*/*' }],
    [{ 'content-type': 'application/x-www-form-urlencoded' }],
    [{ 'content-type': 'application/octet-stream' }],
    [{ 'content-type': 'application/json; charset=UTF-8' }],
    [{ 'content-type': 'text/xml; charset="ISO-8859-1"' }],
    [{ 'content-type': 'no type' }],
    [{ 'content-encoding': 'Identity' }],
    [{ 'content-encoding': '' }],
    [{ 'content-encoding': 'identity, IDENTITY' }],
    [{ 'content-encoding': 'UTF-8' }],
    [{ 'content-encoding': 'gzip' }],
    [{ 'content-encoding': 'deflate, br' }],
  ])('the header %j', async (headers) => {
    await stored(sealed(content('hello')), MESSAGES, headers);
  });

  it.each([
    ['empty', ''],
    ['absent', undefined],
    ['in capitals', 'AES'],
  ])('an encrypt_type that is %s', async (_what, type) => {
    const { query, body } = sealed(content('hello'));
    const rest = Object.fromEntries(
      Object.entries(query).filter(([name]) => name !== 'encrypt_type'),
    );
    await stored(
      { query: type === undefined ? rest : { ...rest, encrypt_type: type }, body },
      MESSAGES,
    );
  });

  it.each([
    ['no ToUserName', `<xml><FromUserName>o1</FromUserName><CreateTime>1</CreateTime></xml>`],
    ['an empty ToUserName', '<xml><ToUserName/><MsgType>text</MsgType></xml>'],
    ['two ToUserNames', '<xml><ToUserName>a</ToUserName><ToUserName>b</ToUserName></xml>'],
    ['text that is no document', 'hello'],
    ['nothing', ''],
    ['a text of zero bytes', '\0\0'],
    ['a thousand elements', `<xml>${'<a/>'.repeat(1_100)}</xml>`],
    ['a hundred levels', `<xml>${'<a>'.repeat(100)}${'</a>'.repeat(100)}</xml>`],
    [
      'an entity bomb',
      `<!DOCTYPE x [<!ENTITY a "${'b'.repeat(99)}">]><xml>${'&a;'.repeat(99)}</xml>`,
    ],
  ])('inside, at both URLs: %s', async (what, text) => {
    const fresh = text.replace('<CreateTime>1<', `<CreateTime>${now()}<`);
    const { raw, authorizer_appid: account } = await stored(sealed(fresh), MESSAGES);
    expect(account).toBe(AUTHORIZER);
    if (/no document|nothing|bomb/.test(what)) expect(raw).toBe(fresh);
    if (!text.includes('ToUserName')) {
      expect(await stored(sealed(fresh))).toMatchObject({ info_type: '', authorizer_appid: '' });
    }
  });

  it.each([
    ['no AppId', (xml: string) => xml.replace(/<AppId>.*<\/AppId>/, '')],
    [
      'its AppId in capitals',
      (xml: string) => xml.replace(COMPONENT.appid, COMPONENT.appid.toUpperCase()),
    ],
    ['a doctype', (xml: string) => `<!DOCTYPE x>${xml}`],
    ['no end', (xml: string) => xml.replace('</xml>', '')],
    ['<xml> for its end', (xml: string) => xml.replace('</xml>', '<xml>')],
    ['__proto__', (xml: string) => xml.replace('</xml>', '<__proto__><x>1</x></__proto__></xml>')],
  ])('a ticket with %s counts', async (_what, change) => {
    const value = `ticket@@@${now()}`;
    await stored(sealed(change(ticket(value))));
    expect(await storedTicket()).toBe(value);
  });

  it.each([
    ['no InfoType', (xml: string) => xml.replace(/<InfoType>.*<\/InfoType>/, '')],
    ['two InfoTypes', (xml: string) => xml.replace('</xml>', '<InfoType>x</InfoType></xml>')],
    [
      'two tickets',
      (xml: string) =>
        xml.replace('</xml>', '<ComponentVerifyTicket>t</ComponentVerifyTicket></xml>'),
    ],
    ['a ticket with blanks', (xml: string) => xml.replace('@@@', '@@@ ')],
  ])('a ticket event with %s is kept for others, and changes nothing', async (_what, change) => {
    await stored(sealed(ticket(`ticket@@@${now()}`)));
    const before = await storedTicket();
    await platform.pass(MINUTE);
    const entry = await stored(sealed(change(ticket('ticket@@@odd'))));
    expect(await storedTicket()).toBe(before);
    expect(JSON.stringify(entry)).not.toContain('@@@odd');
  });
});

describe('row 112: what decides, in a form that nobody expects', () => {
  const BLANKS = [' ', '\n', '\t', '\u00A0', '\u3000', '\uFEFF'];
  /** Around every value, where XML and JSON keep it. */
  const padded = (xml: string, blank: string) =>
    xml.replace(
      /<(\w+)>(?:<!\[CDATA\[)?([^<>[\]]+)(?:\]\]>)?</g,
      `<$1><![CDATA[${blank}$2${blank}]]><`,
    );
  const asJson = (xml: string) =>
    JSON.stringify(
      Object.fromEntries(
        [...xml.matchAll(/<(\w+)>(?:<!\[CDATA\[([^\]]*)\]\]>|([^<]+))/g)].map(
          ([, name = '', kept, plain = '']) => [name, kept ?? plain],
        ),
      ),
    );
  const registration = (code: string, appid = AUTHORIZER) =>
    `<xml><AppId>${COMPONENT.appid}</AppId><CreateTime>${now()}</CreateTime>` +
    '<InfoType>notify_third_fasteregister</InfoType><status>0</status>' +
    `<appid>${appid}</appid><auth_code>${code}</auth_code></xml>`;

  it.each(BLANKS)('%j around a ticket, and around all else in its event', async (blank) => {
    for (const form of [(xml: string) => xml, asJson]) {
      await platform.pass(MINUTE);
      const value = `ticket@@@${now()}`;
      const entry = await stored(sealed(form(padded(ticket(value), blank))));
      expect(entry.info_type).toBe('component_verify_ticket');
      expect(await storedTicket()).toBe(value);
    }
  });

  it.each(BLANKS)('%j around a code, and around all else in its event', async (blank) => {
    for (const xml of [authorized, registration]) {
      for (const form of [(text: string) => text, asJson]) {
        await platform.pass(MINUTE);
        const before = exchanged();
        const code = await grant();
        const entry = await stored(sealed(form(padded(xml(code), blank))));
        expect(JSON.stringify(entry)).not.toContain(code);
        expect(exchanged()).toBe(before + 1);
      }
    }
  });

  it.each([
    ['none', ''],
    ['empty', '<AuthorizerAppid/>'],
    ['no appid', '<AuthorizerAppid>gh_1</AuthorizerAppid>'],
    ['there twice', `<AuthorizerAppid>${AUTHORIZER}</AuthorizerAppid>`.repeat(2)],
    ['in capitals', `<AuthorizerAppid>${AUTHORIZER.toUpperCase()}</AuthorizerAppid>`],
  ])('an account that is %s does not lose the code', async (_what, account) => {
    const before = exchanged();
    const xml = authorized(await grant()).replace(
      /<AuthorizerAppid>.*<\/AuthorizerAppid>/,
      account,
    );
    await stored(sealed(xml));
    expect(exchanged()).toBe(before + 1);
    const { refresh_token: kept = '' } = await platform.redis.hgetall(
      platform.keys.record(authorizerToken(COMPONENT.appid, AUTHORIZER)),
    );
    expect(kept).toBe(platform.simulator.refreshTokenOf(COMPONENT.appid, AUTHORIZER));
  });

  it.each(['', 'gh_1', AUTHORIZER.toUpperCase()])(
    'a new mini-program called %j does not lose the code',
    async (appid) => {
      const before = exchanged();
      await stored(sealed(registration(await grant(), appid)));
      expect(exchanged()).toBe(before + 1);
    },
  );

  it('a ticket and a code that are longer than any so far count', async () => {
    const value = `ticket@@@${'t'.repeat(8_000)}${now()}`;
    await stored(sealed(ticket(value)));
    expect(await storedTicket()).toBe(value);
    const code = `queryauthcode@@@${'c'.repeat(8_000)}`;
    const entry = await stored(sealed(authorized(code)));
    expect(JSON.stringify(entry)).not.toContain('ccc');
    const id = createHash('sha256').update(code).digest('hex').slice(0, 32);
    const kept = await platform.redis.hget(platform.keys.exchanges(COMPONENT.appid), id);
    expect(JSON.parse(kept ?? '{}')).toMatchObject({ authorizer: AUTHORIZER });
  });

  it('an account in capitals ends its authorization all the same', async () => {
    await stored(sealed(authorized(await grant())));
    const key = platform.keys.record(authorizerToken(COMPONENT.appid, AUTHORIZER));
    expect(await platform.redis.hexists(key, 'revoked_at')).toBe(0);
    await platform.pass(MINUTE);
    const account = `<AuthorizerAppid>${AUTHORIZER.toUpperCase()}</AuthorizerAppid>`;
    const event = ticketXml({ infoType: 'unauthorized', createTime: now() });
    await stored(sealed(event.replace('</xml>', `${account}</xml>`)));
    expect(await platform.redis.hexists(key, 'revoked_at')).toBe(1);
  });
});

describe('row 113: fields that a sender has written', () => {
  it('do not make a message one of the URL for events, also where nothing shows who wrote them', async () => {
    const careless = JSON.stringify({
      ToUserName: ACCOUNT,
      FromUserName: 'o1',
      CreateTime: now(),
      MsgType: 'text',
      Content: 'hello',
      InfoType: 'unauthorized',
      More: '',
    });
    const sent = [careless, message('<InfoType>unauthorized</InfoType>')];
    for (const text of sent) {
      const entry = await stored(sealed(text), MESSAGES);
      expect(entry).toMatchObject({
        msg_type: 'text',
        info_type: '',
        authorizer_appid: AUTHORIZER,
      });
      expect(entry.all.InfoType).toBe('unauthorized');
    }
  });

  it('do not hide the true Encrypt behind others, in the clear text before or after it', async () => {
    const typed = sealed(content('typed'), { token: 'a-stranger' }).encrypt;
    const others = `<Encrypt>${typed}</Encrypt>`.repeat(9);
    for (const around of [
      (own: string) => `<xml><Content>${others}</Content>${own}</xml>`,
      (own: string) => `<xml>${own}<Content>${others}</Content></xml>`,
    ]) {
      await platform.pass(MINUTE);
      const { query, encrypt } = sealed(content('hello'));
      await stored({ query, body: around(`<Encrypt>${encrypt}</Encrypt>`) }, MESSAGES);
    }
    const { query, encrypt } = sealed(content('hello, JSON'));
    const list = [...Array.from({ length: 9 }, () => ({ Encrypt: typed })), { Encrypt: encrypt }];
    await stored({ query, body: JSON.stringify({ list }) }, MESSAGES);
  });

  it('are in the entry and decide nothing', async () => {
    const xml = content(']]></Content><Event>forged</Event><Content><![CDATA[');
    const entry = await stored(sealed(xml), MESSAGES);
    expect(entry).toMatchObject({ msg_type: 'text', event: '', odd: 'repeated_fields' });
    expect(entry.all).toMatchObject({ Event: 'forged' });
  });

  it('do not make a message an event of the platform, which would be refused', async () => {
    const xml = content(']]></Content><InfoType>unauthorized</InfoType><Content><![CDATA[');
    expect(await stored(sealed(xml), MESSAGES)).toMatchObject({ info_type: '', msg_type: 'text' });
  });

  it('are none where `]]>` was typed alone', async () => {
    const { all, event } = await stored(sealed(content(']]> <Event>forged</Event>')), MESSAGES);
    expect(all.Content).toBe(']]> <Event>forged</Event>');
    expect(event).toBe('');
  });
});

describe('row 105: pushes in JSON', () => {
  // Beyond 2^53, so that a number would be another one.
  let id = 9_007_199_254_740_993n;
  const inner = () => {
    id += 2n;
    return (
      `{"ToUserName":"${ACCOUNT}","FromUserName":"o1","CreateTime":${now()},"MsgType":"text",` +
      `"Content":"a\x1D","MsgId":${String(id)},"N":1e3}`
    );
  };
  const outer = (encrypt: string) => JSON.stringify({ ToUserName: 'gh_1', Encrypt: encrypt });

  it.each([
    ['text/xml', ''],
    ['application/json', ''],
    ['application/json', '\uFEFF \n'],
    ['', ''],
  ])('declared as "%s", after %j', async (type, before) => {
    const { query, encrypt } = sealed(inner());
    const body = before + outer(encrypt);
    const entry = await stored({ query, body }, MESSAGES, { 'content-type': type });
    expect(entry).toMatchObject({ msg_type: 'text', create_time: String(now()) });
    expect(entry.all).toMatchObject({ MsgId: String(id), N: '1e3', Content: 'a\x1D' });
  });

  it('mixed with XML, either way round', async () => {
    const xml = sealed(content('hello'));
    await stored({ query: xml.query, body: outer(xml.encrypt) }, MESSAGES);
    expect((await stored(sealed(inner()), MESSAGES)).all).toMatchObject({ N: '1e3' });
  });

  it('with its slashes escaped, and junk around', async () => {
    const { query, encrypt } = sealed(inner());
    const escaped = encrypt.replaceAll('/', '\\/').replaceAll('+', '\\u002b');
    await stored({ query, body: `{"a":\x01,,"Encrypt" : "${escaped}"` }, MESSAGES);
  });

  it('are tickets and authorizations at the other URL', async () => {
    const value = `ticket@@@${now()}`;
    const event = { AppId: COMPONENT.appid, CreateTime: now() };
    const first = sealed(
      JSON.stringify({
        ...event,
        InfoType: 'component_verify_ticket',
        ComponentVerifyTicket: value,
      }),
    );
    await stored({ query: first.query, body: outer(first.encrypt) });
    expect(await storedTicket()).toBe(value);
    const before = exchanged();
    const second = sealed(
      JSON.stringify({
        ...event,
        InfoType: 'authorized',
        AuthorizerAppid: AUTHORIZER,
        AuthorizationCode: await grant(),
      }),
    );
    await stored({ query: second.query, body: outer(second.encrypt) });
    expect(exchanged()).toBe(before + 1);
  });
});

describe('row 145: codes, tickets and tokens', () => {
  const SECRETS = [
    'queryauthcode@@@canary-1',
    'preauthcode@@@canary-2',
    'ticket@@@canary-3',
    'refreshtoken@@@canary-4',
    'queryauthcode%40%40%40canary-5',
  ];
  const NAMES = [
    ...['AuthorizationCode', 'authorization_code', 'PreAuthCode', 'pre_auth_code', 'auth_code'],
    ...['AuthCode', 'AUTH-CODE', 'ComponentVerifyTicket', 'component_verify_ticket'],
    ...['authorizer_refresh_token', 'AuthorizerRefreshToken', 'authorizer_access_token'],
    ...['access_token', 'component_appsecret'],
  ];
  const clean = (entry: object) => expect(JSON.stringify(entry)).not.toMatch(/canary/);
  const event = (infoType: string, inner: string) =>
    `<xml><AppId>${COMPONENT.appid}</AppId><CreateTime>${now()}</CreateTime>` +
    `<InfoType>${infoType}</InfoType>${inner}</xml>`;

  it.each(['next_year', 'unauthorized', 'notify_third_fasteregister', 'authorized'])(
    'are not in the entry of `%s`, by name at any depth and by shape in any text',
    async (infoType) => {
      const named = NAMES.map((name, index) => `<${name}>canary${index}</${name}>`).join('');
      const shaped = SECRETS.map((one) => `<Text>${one},</Text><Deep>see ${one}!</Deep>`).join('');
      const keyed = `<queryauthcode@@@canary>1</queryauthcode@@@canary>`;
      const nested = `<Info><List>${named}${shaped}</List><List>${named}</List></Info>`;
      const inner = `<Note>stays</Note>${named}${nested}${shaped}${keyed}`;
      const entry = await stored(sealed(event(infoType, inner)));
      clean(entry);
      expect(entry.all).toMatchObject({ Note: 'stays', Info: { List: [{}, {}] } });
    },
  );

  it('are not in the columns, nor in what could not be read', async () => {
    clean(await stored(sealed(event('queryauthcode@@@canary', ''))));
    const pairs = NAMES.map((name) => `"${name}":"canary", <${name}><![CDATA[canary]]>`);
    for (const text of [`hello ${SECRETS.join(' ')}`, pairs.join('\n'), `[${pairs.join()}]`]) {
      const entry = await stored(sealed(text));
      expect(entry.raw).toContain('[secret]');
      clean(entry);
    }
    clean(await stored(sealed(event('authorized', pairs.join('')).replace('</xml>', '<'))));
    // Written such that it is no single word.
    for (const value of [
      '<![CDATA[ canary]]>',
      '<![CDATA[\ncanary',
      '<![CDATA[no]]><![CDATA[canary]]>',
      'no&#64;&#x40;canary',
      'no&amp;canary',
    ]) {
      const torn = `<AuthorizationCode>${value}</AuthorizationCode><Info><auth_code>${value}`;
      clean(await stored(sealed(event('next_year', torn))));
      await platform.pass(MINUTE);
    }
    clean(await stored(sealed('{"a":1,"AuthorizationCode":" canary","auth_code":\n"\tcanary')));
  });

  it('are not in the message by which the release check hands one over', async () => {
    const entry = await stored(sealed(content('QUERY_AUTH_CODE:canary')), MESSAGES);
    expect(entry.all.Content).toBe('QUERY_AUTH_CODE:[secret]');
    const shaped = await stored(sealed(content(`QUERY_AUTH_CODE: ${SECRETS[0] ?? ''}`)), MESSAGES);
    clean(shaped);
  });

  it('are all that is taken out: what people write is left as it is', async () => {
    const texts = [
      'my auth_code is 123, the ticket@@ too',
      'access_token=1&code=2',
      '我的票queryauthcode',
      '<AuthorizationCode>1</AuthorizationCode>',
      `https://example.com/?token=${'a'.repeat(60)}`,
    ];
    for (const text of texts) {
      const { all } = await stored(sealed(content(text)), MESSAGES);
      expect(all.Content).toBe(text);
    }
    const scan = message('<Event>SCAN</Event><Ticket>gQH47joAAAAAAAAAASxodHRwOi8v</Ticket>');
    expect((await stored(sealed(scan), MESSAGES)).all.Ticket).toBe('gQH47joAAAAAAAAAASxodHRwOi8v');
  });
});

describe('row 148: a captured message under the URL of another account', () => {
  const OTHER = 'wx00000000000000ff';

  it('is stored there, and says that it names another account', async () => {
    const userName = 'gh_00000000000f';
    await mergeAuthorizer(platform.store, COMPONENT.appid, OTHER, { userName });
    const push = sealed(content('hello'));
    expect((await stored(push, MESSAGES)).odd).toBeUndefined();
    const replayed = await stored(push, `${EVENTS}/${OTHER}`);
    expect(replayed).toMatchObject({ authorizer_appid: OTHER, odd: 'another_account' });
    const own = sealed(content('hello again').replace(ACCOUNT, userName));
    expect((await stored(own, `${EVENTS}/${OTHER}`)).odd).toBeUndefined();
  });

  it('is stored under few of them: it drives nobody else out of the stream', async () => {
    const push = sealed(content('captured'));
    const before = await eventCount(platform);
    const keys = async () =>
      (await platform.redis.keys(`${platform.config.redisKeyPrefix}seen:*`)).length;
    const answers: string[] = [];
    for (let number = 1; number <= 12; number += 1) {
      answers.push(await post(platform, push, `${EVENTS}/wx${String(number).padStart(16, '0')}`));
      if (number === 3) expect(await eventCount(platform)).toBe(before + 3);
    }
    expect(answers.slice(0, 3)).toEqual(Array(3).fill('200 success'));
    expect(answers.slice(3)).toEqual(Array(9).fill('401 sent again to another address'));
    expect(await eventCount(platform)).toBe(before + 3);
    const kept = await keys();
    // A repeat where it is already is one, and leaves nothing more in Redis.
    expect(await post(platform, push, `${EVENTS}/wx0000000000000001`)).toBe('200 success');
    expect(await post(platform, push, `${EVENTS}/wx00000000000000aa`)).toMatch(/^401 /);
    expect(await keys()).toBe(kept);
    const { refused } = await pushCounts(platform);
    expect(refused).toContainEqual(
      expect.objectContaining({ url: 'message', reason: 'sent_again', total: 10 }),
    );
  });

  it('does not keep the true one out, however often it was sent elsewhere before', async () => {
    const userName = 'gh_00000000000e';
    const account = 'wx00000000000000ee';
    await mergeAuthorizer(platform.store, COMPONENT.appid, account, { userName });
    const push = sealed(content('the true one').replace(ACCOUNT, userName));
    const addresses = `${platform.config.redisKeyPrefix}seen:{${COMPONENT.appid}}:addresses:*`;
    // Redis gives them in the order of a table that grows meanwhile.
    const counted = async () => (await platform.redis.keys(addresses)).sort();
    for (let number = 1; number <= 5; number += 1) {
      await post(platform, push, `${EVENTS}/wx${String(number).padStart(16, '1')}`);
    }
    const entry = await stored(push, `${EVENTS}/${account}`);
    expect(entry).toMatchObject({ authorizer_appid: account });
    expect(entry.odd).toBeUndefined();
    const before = await counted();
    await stored(sealed(content('another').replace(ACCOUNT, userName)), `${EVENTS}/${account}`);
    expect(await counted()).toEqual(before);
  });

  it('is not replied to, and sets nothing going', async () => {
    const code = await grant();
    await platform.pass(MINUTE);
    const before = exchanged();
    const checked = content(`QUERY_AUTH_CODE:${code}`).replace(ACCOUNT, 'gh_3c884a361561');
    await stored(sealed(checked), `${EVENTS}/${OTHER}`);
    expect(exchanged()).toBe(before);
  });

  it('is neither an event of the platform nor one of another platform', async () => {
    const push = sealed(content('hello'));
    expect(await post(platform, push)).toMatch(/^400 a message of an account/);
    const event = sealed(ticket('ticket@@@captured'));
    expect(await post(platform, event, MESSAGES)).toMatch(/^400 an event of the platform/);
  });
});
