import { readFileSync } from 'node:fs';
import * as crypto from 'node:crypto';
import * as wecom from '@wecom/crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KeeperError } from '../../../src/lib/errors.ts';
import {
  encryptMessage,
  openEnvelope,
  parseSignedQuery,
  sign,
  verifyEcho,
  type EnvelopeSecrets,
} from '../../../src/wechat/push/envelope.ts';
import { parsePushXml } from '../../kit/parse-push-xml.ts';
import { COMPONENT } from '../../kit/platform.ts';
import {
  encryptByHand,
  type EncryptedPush,
  encryptPush,
  type EnvelopeOptions,
  wrapPush,
} from '../../kit/push-envelope.ts';

vi.mock('@wecom/crypto', async (original) => ({
  ...(await original<typeof wecom>()),
  decrypt: vi.fn((await original<typeof wecom>()).decrypt),
}));
vi.mock('node:crypto', async (original) => ({
  ...(await original<typeof crypto>()),
  timingSafeEqual: vi.fn((await original<typeof crypto>()).timingSafeEqual),
}));

interface Vector {
  name: string;
  encodingAesKey: string;
  encrypt: string;
  random: string;
  message: string;
  id: string;
  token?: string;
  timestamp?: string;
  nonce?: string;
  msgSignature?: string;
  signature?: string;
}
const fixture = new URL('../../fixtures/envelope-vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(fixture, 'utf8')) as Vector[];

const secrets: EnvelopeSecrets = { ...COMPONENT, componentAppid: COMPONENT.appid };
const MESSAGE = '<xml><AppId>a</AppId></xml>';

const open = ({ query, encrypt }: EncryptedPush, using: EnvelopeSecrets = secrets) =>
  openEnvelope(using, parseSignedQuery(query, 'msg_signature'), encrypt);

const codeOf = (work: () => unknown): string => {
  const result = outcomeOf(work);
  return result instanceof KeeperError ? result.code : `accepted ${String(result)}`;
};
const outcomeOf = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

afterEach(() => vi.clearAllMocks());

describe('the official samples, byte for byte', () => {
  it.each(vectors)(
    '$name encrypts to the published text',
    ({ encodingAesKey, id, message, random, encrypt }) => {
      expect(encryptMessage(encodingAesKey, id, message, Buffer.from(random))).toBe(encrypt);
    },
  );

  it.each(vectors)('$name opens to the published message', (vector) => {
    const { encodingAesKey, id, encrypt } = vector;
    const token = vector.token ?? 'anyToken';
    const timestamp = vector.timestamp ?? '1409659589';
    const nonce = vector.nonce ?? '263014780';
    const signature = vector.msgSignature ?? sign(token, timestamp, nonce, encrypt);
    const query = parseSignedQuery({ timestamp, nonce, msg_signature: signature }, 'msg_signature');
    const opened = openEnvelope({ componentAppid: id, token, encodingAesKey }, query, encrypt);
    expect(opened).toMatchObject({
      message: vector.message,
      lossless: true,
      usedPreviousKey: false,
    });
  });

  it.each(vectors.filter((one) => one.msgSignature !== undefined))(
    '$name has the published msg_signature',
    (vector) => {
      const { token = '', timestamp = '', nonce = '', encrypt } = vector;
      expect(sign(token, timestamp, nonce, encrypt)).toBe(vector.msgSignature);
      if (vector.signature !== undefined)
        expect(sign(token, timestamp, nonce, '')).toBe(vector.signature);
    },
  );

  it.each([
    ['1714036504', '1514711492', 'f464b24fc39322e44b38aa78f5edd27bd1441696'],
    ['1714037059', '486452656', '899cf89e464efb63f54ddac96b0a0a235f53aa78'],
  ])('echoes echostr for the published signature of %s', (timestamp, nonce, signature) => {
    const query = { timestamp, nonce, signature, echostr: '4375120948345356249' };
    expect(verifyEcho({ ...secrets, token: 'AAAAA' }, query)).toBe('4375120948345356249');
    expect(codeOf(() => verifyEcho(secrets, query))).toBe('bad_signature');
  });
});

describe('what opens and what does not', () => {
  it('never decrypts before the signature is right, and compares it in constant time', () => {
    const push = encryptPush(MESSAGE);
    push.query.msg_signature = 'f'.repeat(40);
    expect(codeOf(() => open(push))).toBe('bad_signature');
    expect(wecom.decrypt).not.toHaveBeenCalled();
    expect(crypto.timingSafeEqual).toHaveBeenCalled();
  });

  it.each([
    ['another platform at the end', { appid: 'wxaaaaaaaaaaaaaaaa' }],
    ['an appid that only begins like ours', { appid: `${COMPONENT.appid}0` }],
    ['no appid', { appid: '' }],
    ['another key', { key: 'B'.repeat(43) }],
    ['padding bytes 0xff', { padding: (pad: Buffer) => Buffer.alloc(pad.length, 0xff) }],
    ['padding bytes 0', { padding: (pad: Buffer) => Buffer.alloc(pad.length) }],
    [
      'padding whose first byte lies',
      { padding: (pad: Buffer) => Buffer.from([pad[0] === 1 ? 2 : 1, ...pad.subarray(1)]) },
    ],
    ['a length of 4 GiB', { declaredLength: 0xffffffff }],
    ['a length one too long', { declaredLength: MESSAGE.length + 1 }],
    ['a length one too short', { declaredLength: MESSAGE.length - 1 }],
    ['a length of 0', { declaredLength: 0 }],
  ])('refuses %s', (_what, options) => {
    expect(codeOf(() => open(encryptPush(MESSAGE, options)))).toBe('unreadable_push');
  });

  it('says the same, whatever it was that could not be decrypted', () => {
    const texts = [
      { appid: 'wxaaaaaaaaaaaaaaaa' },
      { key: 'B'.repeat(43) },
      { declaredLength: 7 },
    ].map((options) => String(outcomeOf(() => open(encryptPush(MESSAGE, options)))));
    expect(new Set(texts).size).toBe(1);
  });

  const good = encryptByHand(MESSAGE);
  it.each([
    ['url-safe letters', `${good.slice(0, 40)}-_${good.slice(42)}`],
    ['a line break', `${good.slice(0, 64)}\n${good.slice(64)}`],
    ['a space for a plus', `${good.slice(0, 64)} ${good.slice(65)}`],
    ['text after the end', `${good}AAAA=`],
    ['too little', good.slice(0, 60)],
    ['nothing', ''],
    ['more than 64 KB', 'A'.repeat(65_540)],
  ])('refuses Encrypt with %s before anything else', (_what, encrypt) => {
    expect(codeOf(() => open(wrapPush(encrypt)))).toBe('malformed_push');
    expect(wecom.decrypt).not.toHaveBeenCalled();
  });

  it('refuses ciphertext that is not whole blocks', () => {
    const bytes = Buffer.from(good, 'base64');
    expect(codeOf(() => open(wrapPush(bytes.subarray(0, -5).toString('base64'))))).toBe(
      'unreadable_push',
    );
  });

  it.each([
    ['timestamp', '140973566', 'malformed_push'],
    ['timestamp', '14097356691', 'malformed_push'],
    ['timestamp', '1e9', 'malformed_push'],
    ['timestamp', ['1763683200', '1763683200'], 'malformed_push'],
    ['timestamp', undefined, 'malformed_push'],
    ['nonce', '', 'malformed_push'],
    ['nonce', 'n'.repeat(33), 'malformed_push'],
    ['nonce', 'n n', 'malformed_push'],
    ['nonce', ['a', 'b'], 'malformed_push'],
    ['msg_signature', undefined, 'bad_signature'],
    ['msg_signature', 'f'.repeat(39), 'bad_signature'],
    ['msg_signature', 'g'.repeat(40), 'bad_signature'],
    ['msg_signature', ['f'.repeat(40), 'f'.repeat(40)], 'bad_signature'],
  ])('refuses %s = %j', (name, value, code) => {
    const query = { ...encryptPush(MESSAGE).query, [name]: value };
    expect(codeOf(() => parseSignedQuery(query, 'msg_signature'))).toBe(code);
  });

  it('accepts upper-case hex', () => {
    const push = encryptPush(MESSAGE);
    push.query.msg_signature = push.query.msg_signature?.toUpperCase() ?? '';
    expect(open(push).message).toBe(MESSAGE);
  });

  it('marks a message with broken UTF-8 as not lossless', () => {
    const broken = Buffer.concat([
      Buffer.from('<xml><A>'),
      Buffer.from([0xf0, 0x9f]),
      Buffer.from('</A></xml>'),
    ]);
    expect(open(encryptPush(broken)).lossless).toBe(false);
    expect(open(encryptPush('<xml><A>\uFFFD</A></xml>')).lossless).toBe(true);
  });
});

describe('during a rotation', () => {
  it.each<[string, EnvelopeOptions, boolean, boolean]>([
    ['current token and key', {}, false, false],
    ['previous token', { token: COMPONENT.previousToken }, true, false],
    ['previous key', { key: COMPONENT.previousEncodingAesKey }, false, true],
    [
      'previous token and key',
      { token: COMPONENT.previousToken, key: COMPONENT.previousEncodingAesKey },
      true,
      true,
    ],
  ])(
    'opens a push under the %s and answers under the same',
    (_what, options, usedPreviousToken, usedPreviousKey) => {
      const opened = open(encryptPush(MESSAGE, options));
      expect(opened).toMatchObject({ message: MESSAGE, usedPreviousToken, usedPreviousKey });
      const reply = parsePushXml(opened.seal('<xml>你好</xml>', 1_763_683_200, '42'));
      const encrypt = reply.Encrypt as string;
      const key = options.key ?? COMPONENT.encodingAesKey;
      expect(wecom.decrypt(key, encrypt)).toMatchObject({
        message: '<xml>你好</xml>',
        id: COMPONENT.appid,
      });
      expect(reply.MsgSignature).toBe(
        sign(options.token ?? COMPONENT.token, '1763683200', '42', encrypt),
      );
    },
  );

  it('refuses both once they are no longer configured', () => {
    const now = { ...secrets, previousToken: undefined, previousEncodingAesKey: undefined };
    expect(codeOf(() => open(encryptPush(MESSAGE, { token: COMPONENT.previousToken }), now))).toBe(
      'bad_signature',
    );
    expect(
      codeOf(() => open(encryptPush(MESSAGE, { key: COMPONENT.previousEncodingAesKey }), now)),
    ).toBe('unreadable_push');
  });
});

describe('for any input', () => {
  const unicode = fc.string({ unit: 'grapheme', maxLength: 300 });

  it('what WeChat seals, opens to the same text', () => {
    fc.assert(
      fc.property(unicode, (message) => {
        expect(open(encryptPush(message))).toMatchObject({ message, lossless: true });
      }),
      { numRuns: 2_000 },
    );
  });

  it('50,000 random ciphertexts under a right signature: refused, with our own error', () => {
    const block = fc.uint8Array({ minLength: 48, maxLength: 400 });
    fc.assert(
      fc.property(block, (bytes) => {
        const code = codeOf(() => open(wrapPush(Buffer.from(bytes).toString('base64'))));
        expect(['unreadable_push', 'malformed_push']).toContain(code);
      }),
      { numRuns: 50_000 },
    );
  });

  it('a good push with one thing changed is refused', () => {
    const push = encryptPush(MESSAGE);
    const change = fc.record({
      field: fc.constantFrom('timestamp', 'nonce', 'msg_signature', 'encrypt'),
      value: fc.string(),
    });
    fc.assert(
      fc.property(change, ({ field, value }) => {
        const changed = { ...push, query: { ...push.query } };
        if (field === 'encrypt') changed.encrypt = value;
        else changed.query[field] = value;
        fc.pre(value !== (field === 'encrypt' ? push.encrypt : push.query[field]));
        expect(codeOf(() => open(changed))).toMatch(
          /^(malformed_push|bad_signature|unreadable_push)$/,
        );
      }),
      { numRuns: 5_000 },
    );
  });
});
