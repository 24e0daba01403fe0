import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeeperError } from '../../../src/lib/errors.ts';
import { parsePushXml } from '../../kit/parse-push-xml.ts';

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

describe('what is no well-formed XML', () => {
  const read = (xml: string) => parsePushXml(xml);

  it.each([
    ['another root', '<html><A>1</A></html>', { html: { A: '1' } }],
    ['no root', '<A>1</A><B>2</B>', { A: '1', B: '2' }],
    ['an unclosed element', '<xml><A>1</xml>', { A: '1' }],
    ['an unclosed root', '<xml><A>1</A>', { A: '1' }],
    ['a root that is opened twice, as in WeChat’s samples', '<xml><A>1</A><xml>', { A: '1' }],
    ['an end without a beginning', '<xml><A>1</A></B></xml>', { A: '1' }],
    ['two roots', '<xml><A>1</A></xml><xml><B>2</B></xml>', { A: '1', B: '2' }],
    ['text around', 'x<xml><A>1</A></xml>y', { A: '1', '#text': 'xy' }],
    ['text between', '<xml>a<A>1</A>b</xml>', { A: '1', '#text': 'ab' }],
    ['a doctype', '<!DOCTYPE xml><xml><A>1</A></xml>', { A: '1' }],
    [
      'a doctype with entities, which nobody expands',
      '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><xml><A>&y;</A></xml>',
      { A: '&y;' },
    ],
    ['a comment', '<xml><!-- x --><A>1</A></xml>', { A: '1' }],
    ['an unknown entity', '<xml><A>&nbsp;1</A></xml>', { A: '&nbsp;1' }],
    ['a bare ampersand', '<xml><A>a & b</A></xml>', { A: 'a & b' }],
    ['a bare <', '<xml><A>I <3 you</A></xml>', { A: 'I <3 you' }],
    ['an emoji as two halves', '<xml><A>&#xD83D;&#xDE00;</A></xml>', { A: '😀' }],
    ['half an emoji', '<xml><A>&#xD83D;.</A></xml>', { A: '\uFFFD.' }],
    ['a reference to no character', '<xml><A>&#x110000;</A></xml>', { A: '\uFFFD' }],
    ['an unclosed CDATA', '<xml><A><![CDATA[x</A></xml>', { A: '<![CDATA[x' }],
    ['attributes', `<xml a="1"><A b='2' c>3</A></xml>`, { A: '3' }],
    ['an element of capitals at the root', '<XML><A>1</A></XML>', { A: '1' }],
  ])('%s is read as far as it goes', (_what, xml, fields) => {
    expect(read(xml)).toEqual(fields);
  });

  it.each(['\0', '\x01', '\x08', '\x0B', '\x10', '\x14', '\x1D', '\x1F', '\x7F', '\x85', '\uFFFE'])(
    'row 101: the character %j is kept, bare and in CDATA',
    (character) => {
      const text = `a${character}b`;
      expect(read(`<xml><A>${text}</A><B><![CDATA[${text}]]></B></xml>`)).toEqual({
        A: text,
        B: text,
      });
    },
  );

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__defineGetter__'])(
    '%s is a name like any other',
    (name) => {
      const fields = read(`<xml><${name}><x>1</x></${name}><A>1</A></xml>`);
      expect(Object.getOwnPropertyDescriptor(fields, name)?.value).toEqual({ x: '1' });
      expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
      expect({}).not.toHaveProperty('x');
    },
  );

  it.each([
    ['nothing', ''],
    ['plain text', 'hello'],
    ['JSON', '{"AppId":"a"}'],
    ['an empty root', '<xml></xml>'],
    ['a root without children', '<xml>text</xml>'],
    ['tags that never end', '<'.repeat(60_000)],
  ])('%s has no fields', (_what, xml) => {
    expect(() => read(xml)).toThrow(malformed);
  });

  it('does not show its content in the error', () => {
    expect(() => read('ticket@@@canary')).toThrow(/^(?!.*canary)/s);
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
