import { createHash } from 'node:crypto';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  asMessage,
  contents,
  eventCount,
  EVENTS,
  MESSAGES,
  newestEvents,
  post,
  pushCounts,
  type PushCounts,
} from '../kit/public-listener.ts';
import {
  encryptPush,
  type EnvelopeOptions,
  outerXml,
  ticketXml,
  wrapPush,
} from '../kit/push-envelope.ts';

const STRANGER = 'wxaaaaaaaaaaaaaaaa';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
});
afterAll(() => platform.close());
beforeEach(() => platform.pass(MINUTE));

const now = () => Math.floor(platform.clock.now() / 1000);
const seal = (xml: string, options: EnvelopeOptions = {}) =>
  encryptPush(xml, { timestamp: now(), ...options });
const event = (infoType = 'unauthorized', appid = COMPONENT.appid) =>
  ticketXml({ infoType, appid, createTime: now() });
const message = () => `<xml><ToUserName>gh_1</ToUserName><MsgId>${now()}</MsgId></xml>`;

/** Posts something that must be refused. @returns the status and text of the answer */
async function refused(
  push: { query: Readonly<Record<string, string>>; body: string | Buffer },
  path = EVENTS,
  headers: Record<string, string> = {},
): Promise<string> {
  await pushCounts(platform);
  const before = await contents(platform);
  const answer = await post(platform, push, path, headers);
  await pushCounts(platform);
  expect(await contents(platform)).toEqual(before);
  return answer;
}

describe('row 48: a push for another platform', () => {
  it('is refused by the two appids that are signed, and the log warns', async () => {
    const warnings = platform.logs.length;
    expect(await refused(seal(event('unauthorized', STRANGER)))).toBe('400 unreadable');
    expect(await refused(seal(event(), { appid: STRANGER }))).toBe('400 unreadable');
    const lines = platform.logs.slice(warnings).filter((line) => line.message === 'push refused');
    // One for each reason; what is refused for the same reason again is summed up.
    expect(new Set(lines.map(({ reason }) => reason)).size).toBe(lines.length);
    expect(lines[0]).toMatchObject({ level: 'warn', component: COMPONENT.appid });
    const { refused: counted } = await pushCounts(platform);
    expect(counted.reduce((sum, { total }) => sum + total, 0)).toBeGreaterThanOrEqual(2);
    // What stands outside of Encrypt is nobody's word.
    const good = seal(event());
    const outside = { ...good, body: outerXml(good.encrypt, STRANGER) };
    expect(await post(platform, outside)).toBe('200 success');
  });

  it('is refused as a message too: the appid inside is the platform, not the authorizer', async () => {
    for (const appid of [STRANGER, AUTHORIZER]) {
      expect(await refused(asMessage(seal(message(), { appid })), MESSAGES)).toBe('400 unreadable');
    }
    expect(await post(platform, asMessage(seal(message())), MESSAGES)).toBe('200 success');
  });
});

describe('row 52: a push under the previous secrets', () => {
  it.each<[string, EnvelopeOptions, Record<string, number>]>([
    ['none of them', {}, { previous_key: 0, previous_token: 0 }],
    [
      'the previous key',
      { key: COMPONENT.previousEncodingAesKey },
      { previous_key: 1, previous_token: 0 },
    ],
    [
      'the previous token',
      { token: COMPONENT.previousToken },
      { previous_key: 0, previous_token: 1 },
    ],
    [
      'both',
      { key: COMPONENT.previousEncodingAesKey, token: COMPONENT.previousToken },
      { previous_key: 1, previous_token: 1 },
    ],
  ])('is accepted and counted on both URLs: %s', async (_what, options, expected) => {
    const before = await pushCounts(platform);
    expect(await post(platform, seal(event(), options))).toBe('200 success');
    expect(await post(platform, asMessage(seal(message(), options)), MESSAGES)).toBe('200 success');
    const after = await pushCounts(platform);
    expect({
      accepted: after.accepted - before.accepted,
      previous_key: (after.previous_key - before.previous_key) / 2,
      previous_token: (after.previous_token - before.previous_token) / 2,
    }).toEqual({ accepted: 2, ...expected });
    const at = new Date(platform.clock.now()).toISOString();
    const [key, token] = [after.previous_key_last_used_at, after.previous_token_last_used_at];
    expect({ previous_key: key === at, previous_token: token === at }).toEqual({
      previous_key: expected.previous_key === 1,
      previous_token: expected.previous_token === 1,
    });
  });

  it('counts for nothing when it is refused', async () => {
    const options = { key: COMPONENT.previousEncodingAesKey, token: COMPONENT.previousToken };
    const before: Partial<PushCounts> = await pushCounts(platform);
    delete before.refused;
    expect(await refused(seal(event('unauthorized', STRANGER), options))).toMatch(/^400 /);
    expect(await pushCounts(platform)).toMatchObject(before);
  });

  it('is refused when they are no longer configured', async () => {
    const env = { COMPONENT_PREVIOUS_TOKEN: '', COMPONENT_PREVIOUS_ENCODING_AES_KEY: '' };
    const later = await createTestPlatform({ env });
    try {
      const timestamp = Math.floor(later.clock.now() / 1000);
      const push = (options: EnvelopeOptions) =>
        post(later, encryptPush(ticketXml({ createTime: timestamp }), { timestamp, ...options }));
      expect(await push({ token: COMPONENT.previousToken })).toMatch(/^401 /);
      expect(await push({ key: COMPONENT.previousEncodingAesKey })).toBe('400 unreadable');
      expect(await push({})).toBe('200 success');
      expect((await pushCounts(later)).previous_key_configured).toBe(false);
    } finally {
      await later.close();
    }
  });
});

describe('row 53: a push without a signature', () => {
  it.each([
    ['nothing', createHash('sha1').digest('hex')],
    ['our token alone', createHash('sha1').update(COMPONENT.token).digest('hex')],
    ['undefined', createHash('sha1').update('undefined'.repeat(3)).digest('hex')],
  ])('is refused with the hash of %s', async (_what, signature) => {
    const { body, query } = seal(event());
    expect(await refused({ body, query: { ...query, msg_signature: signature } })).toMatch(/^401 /);
    expect(await refused({ body, query: { msg_signature: signature } })).toMatch(/^400 /);
  });
});

describe('row 54: ciphertext that is none', () => {
  it('is refused with the same words, whatever is wrong inside', async () => {
    const bytes = Buffer.from(seal(event()).encrypt, 'base64');
    const cut = (count: number) => bytes.subarray(0, -count).toString('base64');
    const pushes = [
      wrapPush(Buffer.alloc(96, 7).toString('base64'), { timestamp: now() }),
      ...[1, 16, 32].map((count) => wrapPush(cut(count), { timestamp: now() })),
      ...[0, 1, 0xffffffff].map((declaredLength) => seal(event(), { declaredLength })),
      seal(event(), { padding: (pad) => Buffer.alloc(pad.length, 0xff) }),
      seal(event(), { key: 'B'.repeat(43) }),
      seal(event('unauthorized', STRANGER)),
    ];
    const answers = [];
    for (const push of pushes) answers.push(await refused(push));
    expect(new Set(answers)).toEqual(new Set(['400 unreadable']));
  });
});

describe('row 58: XML that means harm, sealed by somebody who has our secrets', () => {
  const around = (inner: string) => event().replace('</xml>', `${inner}</xml>`);
  it.each([
    ['a thousand levels', '<a>'.repeat(999) + '</a>'.repeat(999)],
    ['twenty levels', '<a>'.repeat(20) + '</a>'.repeat(20)],
    ['a thousand elements', '<a/>'.repeat(1_000)],
    ['an entity that nobody declared', '<A>&lol9;</A>'],
    ['a constructor', '<constructor><prototype><x>1</x></prototype></constructor>'],
    ['a comment', '<!-- -->'],
  ])('is stored for what it is, and does nothing: %s', async (_what, inner) => {
    const events = await eventCount(platform);
    expect(await post(platform, seal(around(inner)))).toBe('200 success');
    expect(await eventCount(platform)).toBe(events + 1);
    expect((await newestEvents(platform))[0]).toMatchObject({ info_type: 'unauthorized' });
    expect(Object.getOwnPropertyNames({})).toEqual([]);
  });

  it('is text when it is text: 8,000 references cost no more than they weigh', async () => {
    const inner = `<A>${'&#x26;'.repeat(6_000)}</A>`;
    expect(await post(platform, seal(around(inner)))).toBe('200 success');
    expect(JSON.parse((await newestEvents(platform))[0]?.fields ?? '')).toMatchObject({
      A: '&'.repeat(6_000),
    });
  });
});

describe('row 59: values that look like something else', () => {
  it('stay the text they were, and a list where an element came twice', async () => {
    const inner =
      '<A>00123</A><B>1e5</B><C>true</C><D>23456789012345678901</D><E><![CDATA[ &amp; ]]></E>' +
      '<F>1</F><F>2</F><G/>';
    await post(platform, seal(event().replace('</xml>', `${inner}</xml>`)));
    expect(JSON.parse((await newestEvents(platform))[0]?.fields ?? '')).toMatchObject({
      A: '00123',
      B: '1e5',
      C: 'true',
      D: '23456789012345678901',
      E: ' &amp; ',
      F: ['1', '2'],
      G: '',
    });
  });

  it('decide nothing when there are two of them: two of InfoType are an event of no type', async () => {
    const xml = event().replace('</xml>', '<InfoType>unauthorized</InfoType></xml>');
    expect(await post(platform, seal(xml))).toBe('200 success');
    expect((await newestEvents(platform))[0]).toMatchObject({
      info_type: '',
      odd: 'repeated_fields',
    });
  });

  it('take nothing else with them: an event with two of AppId is what its InfoType says', async () => {
    const xml = event().replace('</xml>', `<AppId>${COMPONENT.appid}</AppId></xml>`);
    expect(await post(platform, seal(xml))).toBe('200 success');
    expect((await newestEvents(platform))[0]).toMatchObject({
      info_type: 'unauthorized',
      odd: 'repeated_fields',
    });
  });

  it('are cut to what a column holds, and whole among the fields', async () => {
    expect(await post(platform, seal(event('e'.repeat(1_000))))).toBe('200 success');
    const stored = (await newestEvents(platform))[0];
    expect(stored?.info_type).toBe('e'.repeat(256));
    expect(JSON.parse(stored?.fields ?? '')).toMatchObject({ InfoType: 'e'.repeat(1_000) });
  });
});

describe('rows 57, 60 and 61: bodies of another kind', () => {
  it.each([
    'text/xml; charset=UTF-8',
    'text/plain',
    'application/xml',
    'application/octet-stream',
    'text/xml; charset=gbk',
    'text/xml; charset="gb18030"',
    'text/xml;charset=UTF-16',
    'text/xml; charset=',
    'image/png',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-8',
    'nonsense',
  ])('a push is what it is, also as %s', async (type) => {
    const events = await eventCount(platform);
    const answer = await post(platform, seal(event()), EVENTS, { 'content-type': type });
    expect(answer).toBe('200 success');
    expect(await eventCount(platform)).toBe(events + 1);
  });

  it.each([['aes', 'aes'], ['AES'], ['raw'], ['']])(
    'a push is what it is, whatever encrypt_type says: %s %s',
    async (...types) => {
      const events = await eventCount(platform);
      const { query, body } = seal(event());
      const search = new URLSearchParams(query);
      search.delete('encrypt_type');
      for (const type of types) search.append('encrypt_type', type);
      const url = `${platform.publicUrl(EVENTS)}?${search.toString()}`;
      const answer = await fetch(url, { method: 'POST', body });
      expect(await answer.text()).toBe('success');
      await platform.settle();
      expect(await eventCount(platform)).toBe(events + 1);
    },
  );

  it('nothing at all is answered 400, in words', async () => {
    expect(await refused({ ...seal(event()), body: '' })).toBe('400 no Encrypt in the body');
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['GZIP', gzipSync],
  ])('a good push in %s is not unpacked', async (encoding, pack) => {
    const { query, body } = seal(event());
    expect(
      await refused({ query, body: pack(body) }, EVENTS, { 'content-encoding': encoding }),
    ).toMatch(/^415 /);
  });

  it('200 MB in 200 KB are refused without being unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    const { query } = seal(event());
    expect(await refused({ query, body: bomb }, EVENTS, { 'content-encoding': 'gzip' })).toMatch(
      /^413 /,
    );
  });
});
