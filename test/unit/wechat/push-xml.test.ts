import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeeperError } from '../../../src/errors.ts';
import {
  parseEventEnvelope,
  parseMessageEnvelope,
  parsePushXml,
} from '../../../src/wechat/push-xml.ts';

const malformed = expect.objectContaining({ code: 'malformed_push' }) as Error;

describe('values of push XML', () => {
  it.each([
    ['<A>00123</A>', '00123'],
    ['<A>1e5</A>', '1e5'],
    ['<A>true</A>', 'true'],
    ['<A>0x1F</A>', '0x1F'],
    ['<A>23456789012345678901</A>', '23456789012345678901'],
    ['<A>1.0</A>', '1.0'],
    ['<A></A>', ''],
    ['<A/>', ''],
    ['<A><![CDATA[ keeps  its spaces ]]></A>', ' keeps  its spaces '],
    ['<A><![CDATA[a&amp;b <c> &#x4f60;]]></A>', 'a&amp;b <c> &#x4f60;'],
    ['<A><![CDATA[<!DOCTYPE x>]]></A>', '<!DOCTYPE x>'],
    ['<A>a&amp;b&lt;c&gt;&quot;&apos;</A>', `a&b<c>"'`],
    ['<A>&#x4f60;&#22909;</A>', '你好'],
    ['<A><![CDATA[]]]]><![CDATA[>]]></A>', ']]>'],
    ['<A>😀</A>', '😀'],
  ])('%s is exactly %j', (xml, value) => {
    expect(parsePushXml(`<xml>${xml}</xml>`)).toMatchObject({ A: value });
  });

  it('keeps capitals apart and repeated elements as a list', () => {
    const xml = '<xml><AppId>a</AppId><appid>b</appid><L>1</L><L>2</L></xml>';
    expect(parsePushXml(xml)).toEqual({ AppId: 'a', appid: 'b', L: ['1', '2'] });
  });

  it('does not mind a declaration, a byte order mark and space around the document', () => {
    const xml = '\uFEFF<?xml version="1.0" encoding="UTF-8"?>\n<xml>\r\n<A>1</A>\r\n</xml>\n';
    expect(parsePushXml(xml)).toMatchObject({ A: '1' });
  });
});

describe('documents that are refused', () => {
  const deep = '<a>'.repeat(30) + '</a>'.repeat(30);
  it.each([
    ['nothing', ''],
    ['plain text', 'hello'],
    ['JSON', '{"AppId":"a"}'],
    ['another root', '<html><A>1</A></html>'],
    ['an unclosed element', '<xml><A>1</xml>'],
    ['an unclosed root', '<xml><A>1</A>'],
    ['two roots', '<xml><A>1</A></xml><xml><A>2</A></xml>'],
    ['text after the root', '<xml><A>1</A></xml> and more'],
    ['text before the root', 'x<xml><A>1</A></xml>'],
    ['a root without children', '<xml>text</xml>'],
    ['an empty root', '<xml></xml>'],
    ['a doctype', '<!DOCTYPE xml><xml><A>1</A></xml>'],
    ['a doctype inside', '<xml><!DOCTYPE x [<!ENTITY y "z">]><A>&y;</A></xml>'],
    ['an entity declaration', '<xml><!ENTITY a "b"><A>1</A></xml>'],
    [
      'an external entity',
      '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><A>&x;</A></xml>',
    ],
    ['an unknown entity', '<xml><A>&nbsp;</A></xml>'],
    ['a bare ampersand', '<xml><A>a & b</A></xml>'],
    ['a comment', '<xml><!-- x --><A>1</A></xml>'],
    ['an unclosed CDATA', '<xml><A><![CDATA[x</A></xml>'],
    ['a control character', '<xml><A>\u0007</A></xml>'],
    ['a NUL', '<xml><A>\u0000</A></xml>'],
    ['__proto__', '<xml><__proto__><x>1</x></__proto__></xml>'],
    ['constructor', '<xml><constructor>1</constructor></xml>'],
    ['toString', '<xml><toString>1</toString></xml>'],
    ['deep nesting', `<xml>${deep}</xml>`],
    ['too many elements', `<xml>${'<a/>'.repeat(1100)}</xml>`],
    ['more than 64 KB', `<xml><A>${'x'.repeat(66_000)}</A></xml>`],
  ])('%s', (_what, xml) => {
    expect(() => parsePushXml(xml)).toThrow(malformed);
  });

  it('do not show their content in the error', () => {
    expect(() => parsePushXml('<xml><A>ticket@@@canary</xml>')).toThrow(/^(?!.*canary)/s);
  });
});

describe('the outer document', () => {
  it('has exactly one AppId and one Encrypt', () => {
    const body = (xml: string) => Buffer.from(`<xml>${xml}</xml>`);
    expect(parseEventEnvelope(body('<AppId>a</AppId><Encrypt>e</Encrypt>'))).toEqual({
      appid: 'a',
      encrypt: 'e',
    });
    expect(parseMessageEnvelope(body('<ToUserName>g</ToUserName><Encrypt>e</Encrypt>'))).toEqual({
      toUserName: 'g',
      encrypt: 'e',
    });
    for (const xml of [
      '<AppId>a</AppId>',
      '<Encrypt>e</Encrypt>',
      '<AppId>a</AppId><AppId>b</AppId><Encrypt>e</Encrypt>',
      '<AppId>a</AppId><Encrypt>e</Encrypt><Encrypt>f</Encrypt>',
      '<AppId><x>a</x></AppId><Encrypt>e</Encrypt>',
    ]) {
      expect(() => parseEventEnvelope(body(xml))).toThrow(malformed);
    }
  });

  it('must be UTF-8 and not empty', () => {
    expect(() => parseEventEnvelope(Buffer.alloc(0))).toThrow(malformed);
    expect(() => parseEventEnvelope(Buffer.from([0x3c, 0xff, 0xfe]))).toThrow(malformed);
  });
});

describe('for any document', () => {
  const name = fc.constantFrom('A', 'AppId', 'xml', '__proto__', 'constructor', 'a:b', 'é', '1');
  const piece = fc.oneof(
    fc.string(),
    name.map((one) => `<${one}>`),
    name.map((one) => `</${one}>`),
    fc.constantFrom(
      '<![CDATA[',
      ']]>',
      '<!--',
      '-->',
      '<?xml?>',
      '&amp;',
      '&#x41;',
      '&x;',
      '<!DOCTYPE x>',
      '"',
      "'",
      '=',
    ),
  );
  const documents = fc
    .array(piece, { maxLength: 20 })
    .map((pieces) => `<xml>${pieces.join('')}</xml>`);

  it('50,000 random ones give fields or our own error, and never touch Object.prototype', () => {
    const before = Object.getOwnPropertyNames(Object.prototype).join();
    fc.assert(
      fc.property(fc.oneof(documents, fc.string({ maxLength: 400 })), (text) => {
        try {
          expect(typeof parsePushXml(text)).toBe('object');
        } catch (error) {
          expect(error).toBeInstanceOf(KeeperError);
          expect((error as KeeperError).code).toBe('malformed_push');
        }
      }),
      { numRuns: 50_000 },
    );
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(before);
  });
});
