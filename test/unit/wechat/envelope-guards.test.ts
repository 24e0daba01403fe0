import { createHash, timingSafeEqual } from 'node:crypto';
import type * as crypto from 'node:crypto';
import { decrypt } from '@wecom/crypto';
import type * as wecom from '@wecom/crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KeeperError } from '../../../src/lib/errors.ts';
import {
  encryptMessage,
  openEnvelope,
  openPush,
  parseSignedQuery,
  sign,
  verifyEcho,
  type EnvelopeSecrets,
  type OpenedEnvelope,
} from '../../../src/wechat/push/envelope.ts';
import { parsePushXml } from '../../kit/parse-push-xml.ts';
import { COMPONENT } from '../../kit/platform.ts';
import {
  encryptByHand,
  type EncryptedPush,
  encryptPush,
  wrapPush,
} from '../../kit/push-envelope.ts';

vi.mock('@wecom/crypto', async (original) => {
  const real = await original<typeof wecom>();
  return { ...real, decrypt: vi.fn(real.decrypt) };
});
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>();
  return { ...real, timingSafeEqual: vi.fn(real.timingSafeEqual) };
});

const secrets: EnvelopeSecrets = { ...COMPONENT, componentAppid: COMPONENT.appid };
const MESSAGE = '<xml><AppId>a</AppId></xml>';
const MUTATIONS = 50_000;

type Query = Record<string, unknown>;
const openWith = (query: Query, encrypt: string, using = secrets): OpenedEnvelope =>
  openEnvelope(using, parseSignedQuery(query, 'msg_signature'), encrypt);
const open = ({ query, encrypt }: EncryptedPush, using = secrets) =>
  openWith(query, encrypt, using);
const refusal = (code: string) => expect.objectContaining({ code }) as Error;
const unreadable = refusal('unreadable_push');
const malformed = refusal('malformed_push');
const badSignature = refusal('bad_signature');

/** The code of our own error; anything else that comes of it is none. */
function codeOf(work: () => unknown): string {
  try {
    work();
    return 'accepted';
  } catch (error) {
    return error instanceof KeeperError ? error.code : 'not our error';
  }
}

afterEach(() => vi.clearAllMocks());

describe('the signature is judged before anything is decrypted', () => {
  const good = encryptPush(MESSAGE);

  it('refuses any other signature without a decryption', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const signature = createHash('sha1').update(text).digest('hex');
        const query = { ...good.query, msg_signature: signature };
        return codeOf(() => openWith(query, good.encrypt)) === 'bad_signature';
      }),
      { numRuns: 1_000 },
    );
    expect(decrypt).not.toHaveBeenCalled();
  });

  it.each([
    ['the hash of nothing', createHash('sha1').digest('hex')],
    ['the words undefined', sign('undefined', 'undefined', 'undefined', 'undefined')],
    ['the signature that leaves Encrypt out', good.query.signature],
    ['a token of nothing', sign('', '1763683200', '1590219412', good.encrypt)],
  ])('refuses %s', (_what, signature) => {
    const query = { ...good.query, msg_signature: signature };
    expect(() => openWith(query, good.encrypt)).toThrow(badSignature);
    expect(decrypt).not.toHaveBeenCalled();
  });

  it('compares forty bytes with forty bytes, once for each token', () => {
    const query = { ...good.query, msg_signature: 'F'.repeat(40) };
    expect(() => openWith(query, good.encrypt)).toThrow(badSignature);
    const lengths = vi
      .mocked(timingSafeEqual)
      .mock.calls.map((pair) => pair.map((one) => one.byteLength));
    expect(lengths).toEqual([
      [40, 40],
      [40, 40],
    ]);
  });

  it.each([
    ['one digit too few', 'a'.repeat(39)],
    ['one digit too many', 'a'.repeat(41)],
    ['a line break behind it', `${'a'.repeat(40)}\n`],
    ['two bytes for one letter', `${'a'.repeat(39)}é`],
  ])('never compares a signature with %s', (_what, signature) => {
    const query = { ...good.query, msg_signature: signature };
    expect(() => openWith(query, good.encrypt)).toThrow(badSignature);
    expect(timingSafeEqual).not.toHaveBeenCalled();
  });

  it.each(['msg_signature', 'timestamp', 'nonce'])('takes no list for %s, even of one', (name) => {
    const query = { ...good.query, [name]: [good.query[name]] };
    expect(() => openWith(query, good.encrypt)).toThrow(KeeperError);
    expect(timingSafeEqual).not.toHaveBeenCalled();
  });

  it(`refuses ${MUTATIONS} mutations of a good push, all with our own error`, () => {
    fc.assert(
      fc.property(mutation(good), ({ query, encrypt }) => {
        const code = codeOf(() => openWith(query, encrypt));
        return code === 'malformed_push' || code === 'bad_signature';
      }),
      { numRuns: MUTATIONS },
    );
    expect(decrypt).not.toHaveBeenCalled();
  });
});

describe('a body of the largest size', () => {
  const SIZE = 65_536;
  const filled = (...parts: string[]) => Buffer.from(parts.join('').slice(0, SIZE), 'latin1');
  const all = (part: string) => part.repeat(Math.ceil(SIZE / part.length));
  const { query } = encryptPush(MESSAGE);

  /** Milliseconds of this process's own time; the least of three tries. */
  function cost(body: Buffer): number {
    const tries = [1, 2, 3].map(() => {
      const begun = process.cpuUsage();
      for (let i = 0; i < 4; i += 1) codeOf(() => openPush(secrets, query, body));
      const { user } = process.cpuUsage(begun);
      return user / 4_000;
    });
    return Math.min(...tries);
  }

  it.each([
    ['blanks', all(' ')],
    ['line breaks', all('\n')],
    ['blanks around the byte order mark', `${' '.repeat(SIZE / 2)}\xEF\xBB\xBF${all(' ')}`],
    ['byte order marks', all('\xEF\xBB\xBF')],
    ['beginnings of a tag', all('<Encrypt ')],
    ['beginnings of an Encrypt', all('<Encrypt>')],
    ['an Encrypt of blanks', `<Encrypt>${all(' ')}`],
    ['an Encrypt in small pieces', `<Encrypt>${all('a ')}`],
    ['a name and blanks', `{"Encrypt"${all(' ')}`],
    ['names in JSON', `{${all('"Encrypt":')}`],
    ['texts in JSON that are not closed', `{${all('"Encrypt":"')}`],
    ['escapes', `{"Encrypt":"${all('\\/')}`],
  ])('of %s is read once: whoever sends it holds nobody up', (_what, text) => {
    // Reading it again for each of its letters would cost some thousand times as much.
    expect(cost(filled(text))).toBeLessThan(200 * Math.max(cost(filled(all('a'))), 0.2));
  });
});

describe('what was decrypted is proven before it is believed', () => {
  it('checks each byte of each padding', () => {
    for (let length = 0; length < 32; length += 1) {
      const message = 'm'.repeat(length);
      const count = 32 - ((20 + length + COMPONENT.appid.length) % 32);
      expect(open(encryptPush(message)).message).toBe(message);
      for (let index = 0; index < count; index += 1) {
        const padding = (pad: Buffer) => pad.map((byte, at) => (at === index ? byte ^ 0x40 : byte));
        const spoiled = encryptPush(message, { padding: (pad) => Buffer.from(padding(pad)) });
        expect(() => open(spoiled), `byte ${index} of ${count}`).toThrow(unreadable);
      }
    }
  });

  it('takes padding to blocks of 16, as some packages have it, and refuses it when a byte is wrong', () => {
    for (let length = 0; length < 32; length += 1) {
      const message = 'm'.repeat(length);
      const count = 16 - ((20 + length + COMPONENT.appid.length) % 16);
      const short = encryptPush(message, { padding: () => Buffer.alloc(count, count) });
      expect(open(short)).toMatchObject({ message, lossless: true });
      const wrong = Buffer.alloc(count, count);
      wrong[0] = count ^ 0x40;
      expect(() => open(encryptPush(message, { padding: () => wrong }))).toThrow(unreadable);
    }
  });

  it('refuses padding to blocks of 64', () => {
    const long = (pad: Buffer) => Buffer.alloc(pad.length + 32, pad.length + 32);
    // 20 + 34 + 18 = 72 bytes: 24 of padding as it should be.
    const message = 'm'.repeat(34);
    expect(open(encryptPush(message)).message).toBe(message);
    expect(() => open(encryptPush(message, { padding: long }))).toThrow(unreadable);
  });

  it('refuses every length but the right one', () => {
    const length = Buffer.byteLength(MESSAGE);
    const lie = fc.oneof(fc.nat(200), fc.nat(0xffffffff), fc.constant(0xffffffff));
    fc.assert(
      fc.property(
        lie.filter((one) => one !== length),
        (declaredLength) =>
          codeOf(() => open(encryptPush(MESSAGE, { declaredLength }))) === 'unreadable_push',
      ),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['in capitals', COMPONENT.appid.toUpperCase()],
    ['cut short', COMPONENT.appid.slice(0, -1)],
    ['with a zero byte behind it', `${COMPONENT.appid}\0`],
    ['with a space behind it', `${COMPONENT.appid} `],
    ['twice', COMPONENT.appid.repeat(2)],
    ['with another in front', `wxaaaaaaaaaaaaaaaa${COMPONENT.appid}`],
  ])('refuses our appid %s', (_what, appid) => {
    expect(() => open(encryptPush(MESSAGE, { appid }))).toThrow(unreadable);
  });

  it('names a push by what was encrypted, whatever its signature and query', () => {
    const encrypt = encryptByHand(MESSAGE);
    const [one, two] = ['1', '2'].map(
      (nonce) => open(wrapPush(encrypt, { nonce })).hashes.ofEncrypt,
    );
    expect(one).toBe(createHash('sha256').update(encrypt).digest('hex'));
    expect(two).toBe(one);
    expect(open(encryptPush(MESSAGE, { random: 'fedcba9876543210' })).hashes.ofEncrypt).not.toBe(
      one,
    );
  });

  it('decrypts once with the current key, and again only with the previous one', () => {
    open(encryptPush(MESSAGE));
    expect(vi.mocked(decrypt).mock.calls.map(([key]) => key)).toEqual([COMPONENT.encodingAesKey]);
    open(encryptPush(MESSAGE, { key: COMPONENT.previousEncodingAesKey }));
    expect(
      vi
        .mocked(decrypt)
        .mock.calls.slice(1)
        .map(([key]) => key),
    ).toEqual([COMPONENT.encodingAesKey, COMPONENT.previousEncodingAesKey]);
  });
});

describe('a reply', () => {
  it('of any text can be opened and verified by WeChat, and never looks the same twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const { seal } = open(encryptPush(MESSAGE));
        const one = seal(text, 1_763_683_200, '42');
        const two = seal(text, 1_763_683_200, '42');
        expect(two).not.toBe(one);
        const { Encrypt, MsgSignature, TimeStamp, Nonce } = parsePushXml(one);
        const query = { msg_signature: MsgSignature, timestamp: TimeStamp, nonce: Nonce };
        expect(openWith(query, Encrypt as string)).toMatchObject({ message: text });
      }),
      { numRuns: 300 },
    );
  });

  it('is not made of text that UTF-8 cannot carry', () => {
    const { seal } = open(encryptPush(MESSAGE));
    expect(() => seal('half a \ud83d smile', 1_763_683_200, '42')).toThrow(TypeError);
    expect(() => encryptMessage(COMPONENT.encodingAesKey, 'wx', '\udc00')).toThrow(TypeError);
  });
});

describe('the echostr check', () => {
  const signed = (echostr: unknown, token = COMPONENT.token) => ({
    timestamp: '1763683200',
    nonce: '42',
    echostr,
    signature: sign(token, '1763683200', '42', ''),
  });

  it('echoes under the current and the previous token', () => {
    expect(verifyEcho(secrets, signed('4375120948345356249'))).toBe('4375120948345356249');
    expect(verifyEcho(secrets, signed('a+b/c=', COMPONENT.previousToken))).toBe('a+b/c=');
  });

  it.each([
    ['none', undefined],
    ['an empty one', ''],
    ['two', ['1', '2']],
    ['a list of one', ['1']],
    ['HTML', '<img src=x onerror=alert(1)>'],
    ['a line break', '1\r\nSet-Cookie: a=b'],
    ['a long one', '1'.repeat(513)],
  ])('refuses %s', (_what, echostr) => {
    expect(() => verifyEcho(secrets, signed(echostr))).toThrow(malformed);
  });

  it('does not take msg_signature for signature', () => {
    const { signature, ...rest } = signed('1');
    expect(() => verifyEcho(secrets, { ...rest, msg_signature: signature })).toThrow(badSignature);
  });
});

/** A good push with one thing wrong that its signature does not cover up. */
function mutation({
  query,
  encrypt,
}: EncryptedPush): fc.Arbitrary<{ query: Query; encrypt: string }> {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^\d{0,12}$/), fc.base64String());
  const strange = fc.oneof(
    text,
    fc.constantFrom(undefined, null, true, 0, {}),
    fc.array(text, { maxLength: 2 }),
  );
  const field = fc.constantFrom('timestamp', 'nonce', 'msg_signature');
  const place = fc.nat({ max: encrypt.length - 1 });
  const letter = fc.constantFrom('A', 'Q', 'w', '+', '/', '=', '0', 'z', ' ', '\n', '-', '_');
  const edit = (at: number, cut: number, put: string) =>
    encrypt.slice(0, at) + put + encrypt.slice(at + cut);
  const { timestamp = '', nonce = '' } = query;
  return fc
    .oneof(
      fc.tuple(field, strange).map(([name, value]) => ({
        query: { ...query, [name]: value },
        encrypt,
      })),
      fc
        .tuple(place, fc.nat(40), fc.string({ unit: letter, maxLength: 40 }))
        .map(([at, cut, put]) => ({ query, encrypt: edit(at, cut, put) })),
      // The signature does not know where one part ends and the next begins.
      fc.integer({ min: 1, max: 9 }).map((count) => ({
        query: {
          ...query,
          nonce: nonce.slice(0, -count),
          timestamp: nonce.slice(-count) + timestamp,
        },
        encrypt,
      })),
    )
    .filter((one) => one.encrypt !== encrypt || !sameQuery(one.query, query));
}

function sameQuery(one: Query, other: Query): boolean {
  return ['timestamp', 'nonce', 'msg_signature'].every((name) => one[name] === other[name]);
}
