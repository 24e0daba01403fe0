import { describe, expect, it } from 'vitest';
import { KeeperError } from '../../../src/lib/errors.ts';
import { openPush, type EnvelopeSecrets } from '../../../src/wechat/push/envelope.ts';
import { COMPONENT } from '../../kit/platform.ts';
import { type EncryptedPush, encryptPush, outerXml, wrapPush } from '../../kit/push-envelope.ts';

const secrets: EnvelopeSecrets = { ...COMPONENT, componentAppid: COMPONENT.appid };
const MESSAGE = '<xml><AppId>a</AppId></xml>';
const good = encryptPush(MESSAGE);
const CLEAR = '<xml><ToUserName>g</ToUserName><MsgType>text</MsgType></xml>';

const open = (body: string | Buffer, query: Record<string, unknown> = good.query) =>
  openPush(secrets, query, Buffer.from(body));

/** Status, code and reason of a refusal. */
function refusalOf(push: Pick<EncryptedPush, 'body'> & { query: Record<string, unknown> }): string {
  try {
    open(push.body, push.query);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof KeeperError)) throw error;
    return `${error.status} ${error.code} ${String(error.reason)}`;
  }
}
const asked = (change: Record<string, unknown>, body = good.body) => ({
  query: { ...good.query, ...change },
  body,
});

describe('row 103: why a push is not trusted', () => {
  it.each([
    [
      'another token',
      encryptPush(MESSAGE, { token: 'another' }),
      '401 bad_signature bad_signature',
    ],
    ['no signature', asked({ msg_signature: undefined }), '401 bad_signature bad_signature'],
    [
      'another EncodingAESKey',
      encryptPush(MESSAGE, { key: 'B'.repeat(43) }),
      '400 unreadable_push aes_key',
    ],
    [
      'another platform',
      encryptPush(MESSAGE, { appid: 'wxaaaaaaaaaaaaaaaa' }),
      '400 unreadable_push foreign_component',
    ],
    [
      'a length that lies',
      encryptPush(MESSAGE, { declaredLength: 3 }),
      '400 unreadable_push unreadable',
    ],
    [
      'padding that lies',
      encryptPush(MESSAGE, { padding: (pad) => Buffer.alloc(pad.length, 0) }),
      '400 unreadable_push aes_key',
    ],
    ['a nonce of no form', asked({ nonce: 'a b' }), '400 malformed_push form'],
    ['a timestamp of no form', asked({ timestamp: '1' }), '400 malformed_push form'],
    ['no Encrypt', asked({}, '<xml/>'), '400 malformed_push form'],
    ['a form', asked({}, 'a=b'), '400 malformed_push form'],
    ['Encrypt that is no base64', wrapPush('-'.repeat(100)), '400 malformed_push form'],
    ['clear text', asked({}, CLEAR), '400 malformed_push clear_mode'],
    [
      'clear text without msg_signature',
      asked({ msg_signature: undefined }, CLEAR),
      '401 bad_signature clear_mode',
    ],
    ['clear JSON', asked({}, '{"MsgType":"text"}'), '400 malformed_push clear_mode'],
  ])('%s: its reason is there for the operator', (_what, push, refusal) => {
    expect(refusalOf(push)).toBe(refusal);
  });

  it('is not told to the sender where it could help to guess', () => {
    const texts = [
      { key: 'B'.repeat(43) },
      { appid: 'wxaaaaaaaaaaaaaaaa' },
      { declaredLength: 3 },
    ].map((options) => {
      const { query, body } = encryptPush(MESSAGE, options);
      expect(() => open(body, query)).toThrow(/^unreadable$/);
      return body;
    });
    expect(texts).toHaveLength(3);
  });
});

describe('of several Encrypts', () => {
  const encrypt = (text: string) => `<Encrypt>${text}</Encrypt>`;
  const strange = encryptPush(MESSAGE, { token: 'another' }).encrypt.replace('A', 'B');

  it('the one that verifies is it, among the first three and as the last one', () => {
    for (let before = 0; before < 6; before += 1) {
      const xml = encrypt(strange).repeat(before) + encrypt(good.encrypt);
      expect(refusalOf({ query: good.query, body: `<xml>${xml}</xml>` })).toBe('accepted');
      expect(refusalOf({ query: good.query, body: `<xml>${xml}${encrypt('x')}</xml>` })).toBe(
        before < 3 ? 'accepted' : '401 bad_signature bad_signature',
      );
    }
  });

  it('the one that our token signed says why it is refused', () => {
    const { encrypt: locked, query } = encryptPush(MESSAGE, { key: 'B'.repeat(43) });
    const body = `<xml>${encrypt(strange)}${encrypt(locked)}</xml>`;
    expect(refusalOf({ query, body })).toBe('400 unreadable_push aes_key');
  });
});

describe('an outer document made to cost time', () => {
  // Anybody can send one. A search that began anew at each place would not be done within the limit.
  it.each([
    ...[
      '<Encrypt',
      '<Encrypt ',
      '<Encrypt>',
      '<Encrypt><![CDATA[',
      '<',
      '{"Encrypt":"',
      '{"Encrypt"',
    ],
    ...['{"Encrypt":', ' ', '{ ', '"Encrypt":"\\', '<Encrypt>\n'],
  ])('of two million bytes of %j is looked through once', (piece) => {
    const body = piece.repeat(2_000_000 / piece.length);
    expect(refusalOf({ query: good.query, body })).toMatch(/^40[01] /);
    expect(refusalOf({ query: good.query, body: `{${body}` })).toMatch(/^40[01] /);
  });
});

it('names the same bytes alike, whatever the layout of base64', () => {
  const wrapped = good.encrypt.replace(/(.{60})/g, '$1\r\n');
  expect(open(outerXml(wrapped)).hashes.ofEncrypt).toBe(open(good.body).hashes.ofEncrypt);
});
