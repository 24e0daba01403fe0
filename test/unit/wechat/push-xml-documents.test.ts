import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeeperError } from '../../../src/errors.ts';
import {
  MAX_PUSH_BYTES,
  parseEventEnvelope,
  parseMessageEnvelope,
  parsePushXml,
  type XmlValue,
} from '../../../src/wechat/push-xml.ts';

const MUTATIONS = 50_000;
const RANDOM_BODIES = 20_000;
const malformed = expect.objectContaining({ code: 'malformed_push' }) as Error;
const element = (name: string, content: string) => `<${name}>${content}</${name}>`;
const cdata = (text: string) => `<![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;

describe('a document that WeChat could send', () => {
  const name = fc.stringMatching(/^[A-Z][A-Za-z]{2,12}$/);
  // A CR never survives XML; control characters cannot be sent at all.
  const text = fc
    .string({ unit: 'binary', maxLength: 60 })
    .map((one) => one.toWellFormed().replace(/[\p{Cc}\uFFFE\uFFFF]/gu, ''));
  const escaped = (one: string) =>
    one.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

  it('gives back every text exactly as it was', () => {
    const fields = fc.dictionary(name, text, { minKeys: 1, maxKeys: 8, noNullPrototype: true });
    fc.assert(
      fc.property(fields, (expected) => {
        const inner = Object.entries(expected).map(([key, value]) => element(key, cdata(value)));
        expect(parsePushXml(element('xml', inner.join('\n')))).toEqual(expected);
      }),
      { numRuns: 3_000 },
    );
  });

  it('may escape its texts instead, which loses only the space around them', () => {
    fc.assert(
      fc.property(text, (expected) => {
        const fields = parsePushXml(element('xml', element('A', escaped(expected))));
        expect(fields).toEqual({ A: expected.trim() });
      }),
      { numRuns: 3_000 },
    );
  });

  it.each([
    '00123',
    '1e5',
    '0x10',
    '-0',
    'true',
    'null',
    'NaN',
    '23456789012345678901',
    '1.10',
    '+86',
  ])('keeps the text %s, bare or wrapped', (value) => {
    const inner = element('Bare', value) + element('Wrapped', cdata(value));
    expect(parsePushXml(element('xml', inner))).toEqual({ Bare: value, Wrapped: value });
  });

  it('turns a CR LF into an LF, as XML says', () => {
    const xml = `<xml>\r\n<A>${cdata('a\r\nb')}</A>\r\n<B>c\r\nd</B>\r\n</xml>\r\n`;
    expect(parsePushXml(xml)).toEqual({ A: 'a\nb', B: 'c\nd' });
  });

  it('has no #text of the line breaks between its elements, also inside an element', () => {
    const xml = '<xml>\n  <Info>\n    <A>1</A>\n    <B>2</B>\n  </Info>\n</xml>';
    expect(parsePushXml(xml)).toEqual({ Info: { A: '1', B: '2' } });
  });
});

describe('limits of a document', () => {
  it('are 64 KB, counted in bytes', () => {
    const around = element('xml', element('A', '')).length;
    const fits = '你'.repeat(Math.floor((MAX_PUSH_BYTES - around) / 3));
    expect(parsePushXml(element('xml', element('A', fits)))).toEqual({ A: fits });
    const tooLong = `${fits}你`;
    expect(tooLong.length).toBeLessThan(MAX_PUSH_BYTES / 2);
    expect(() => parsePushXml(element('xml', element('A', tooLong)))).toThrow(malformed);
  });

  it('are 1000 tags', () => {
    const wide = (count: number) => element('xml', '<a/>'.repeat(count));
    expect(parsePushXml(wide(998)).a).toHaveLength(998);
    expect(() => parsePushXml(wide(999))).toThrow(malformed);
    expect(() => parsePushXml(element('xml', '<'.repeat(60_000)))).toThrow(malformed);
  });

  it('do not count what is inside CDATA', () => {
    const text = '<a>'.repeat(2_000);
    expect(parsePushXml(element('xml', element('A', cdata(text))))).toEqual({ A: text });
  });

  it('are 12 levels', () => {
    const deep = (levels: number) =>
      element('xml', '<a>'.repeat(levels) + '1' + '</a>'.repeat(levels));
    expect(() => parsePushXml(deep(11))).not.toThrow();
    for (const levels of [14, 100, 490])
      expect(() => parsePushXml(deep(levels))).toThrow(malformed);
  });

  it('hold for references too: a full document of them stays as small as it was', () => {
    const xml = element('xml', element('A', '&#x41;'.repeat(10_000)));
    expect(parsePushXml(xml)).toEqual({ A: 'A'.repeat(10_000) });
    expect(parsePushXml(element('xml', element('A', '&amp;lt;')))).toEqual({ A: '&lt;' });
  });
});

describe('what stands around a document', () => {
  const good = '<xml><A>1</A></xml>';
  it.each([
    ['another instruction before it', `<?php echo 1?>${good}`],
    ['an instruction behind it', `${good}<?php echo 1?>`],
    ['two declarations', `<?xml version="1.0"?><?xml version="1.0"?>${good}`],
    ['an element before it', `<a/>${good}`],
    ['an element behind it', `${good}<a/>`],
    ['an empty root before it', `<xml/>${good}`],
    ['a zero byte behind it', `${good}\0`],
  ])('is refused: %s', (_what, xml) => {
    expect(() => parsePushXml(xml)).toThrow(malformed);
  });
});

describe('names that JavaScript knows', () => {
  const before = Object.getOwnPropertyNames(Object.prototype).join();
  it.each([
    '__proto__',
    'prototype',
    'constructor',
    'toString',
    'valueOf',
    'hasOwnProperty',
    '__defineGetter__',
    '__lookupSetter__',
  ])('%s is refused at every depth', (name) => {
    for (const inner of [element(name, '1'), element('A', element(name, element('x', '1')))]) {
      expect(() => parsePushXml(element('xml', inner))).toThrow(malformed);
    }
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(before);
    expect({}).not.toHaveProperty('x');
  });

  it('are harmless as attributes, which nobody reads', () => {
    const fields = parsePushXml('<xml><A __proto__="1" constructor="2">3</A></xml>');
    expect(fields).toEqual({ A: '3' });
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
  });
});

describe('the bytes of a body', () => {
  const good = '<xml><AppId>a</AppId><Encrypt>e</Encrypt></xml>';

  it.each([
    ['a byte that UTF-8 does not have', [0xff]],
    ['half a character', [0xe4, 0xbd]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
  ])('are refused with %s in the middle', (_what, bytes) => {
    const body = Buffer.concat([
      Buffer.from('<xml><AppId>a'),
      Buffer.from(bytes),
      Buffer.from('</AppId><Encrypt>e</Encrypt></xml>'),
    ]);
    expect(() => parseEventEnvelope(body)).toThrow(malformed);
  });

  it('may begin with a byte order mark', () => {
    expect(parseEventEnvelope(Buffer.from(`\uFEFF${good}`))).toEqual({ appid: 'a', encrypt: 'e' });
    expect(() => parseEventEnvelope(Buffer.from('\uFEFFgarbage'))).toThrow(malformed);
  });

  it('hold one text for each element, on both URLs', () => {
    for (const inner of [
      '<ToUserName>g</ToUserName><ToUserName>h</ToUserName><Encrypt>e</Encrypt>',
      '<ToUserName>g</ToUserName><Encrypt>e</Encrypt><Encrypt>f</Encrypt>',
      '<ToUserName>g</ToUserName><Encrypt><a>e</a></Encrypt>',
      '<ToUserName>g</ToUserName>',
      '<Encrypt>e</Encrypt>',
    ]) {
      expect(() => parseMessageEnvelope(Buffer.from(element('xml', inner)))).toThrow(malformed);
    }
    expect(() => parseMessageEnvelope(Buffer.from(good))).toThrow(malformed);
  });
});

describe('for any input', () => {
  /** Fields or our own error; nothing else may come out. */
  const outcomeOf = (work: () => unknown): 'fields' | 'malformed_push' => {
    try {
      assertFields(work());
      return 'fields';
    } catch (error) {
      if (error instanceof KeeperError && error.code === 'malformed_push') return error.code;
      throw error;
    }
  };
  const valid =
    `<?xml version="1.0"?><xml><AppId><![CDATA[wx0]]></AppId>\n<CreateTime>1413192605</CreateTime>` +
    `<Info><a>1</a><a>&amp;</a></Info><Encrypt><![CDATA[A+b/=]]></Encrypt></xml>`;
  const scrap = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.constantFrom(
      ...['<', '>', '</', '/>', '&', ';', '"', '=', '\0', '\uFEFF', '<!', '<?', '<!--', '-->'],
      ...['<![CDATA[', ']]>', '<xml>', '</xml>', '<!DOCTYPE a [<!ENTITY b "c">]>', '&b;', '&#0;'],
      ...['<__proto__>', '<constructor/>', '<a b="c" b="d">', '&#x10FFFF;', '&#xD800;'],
    ),
  );
  const edit = fc.record({
    at: fc.nat({ max: valid.length }),
    cut: fc.oneof(fc.constant(0), fc.nat(60)),
    put: scrap,
  });

  it(`${MUTATIONS} mutations of a good document end in fields or in our own error`, () => {
    const before = Object.getOwnPropertyNames(Object.prototype).join();
    const ends = { fields: 0, malformed_push: 0 };
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const text = edits.reduce(
          (xml, { at, cut, put }) => xml.slice(0, at) + put + xml.slice(at + cut),
          valid,
        );
        ends[outcomeOf(() => parsePushXml(text))] += 1;
      }),
      { numRuns: MUTATIONS },
    );
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(before);
    expect(Object.values(ends).every((count) => count > MUTATIONS / 50)).toBe(true);
  });

  it(`${RANDOM_BODIES} random bodies end in our own error`, () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: 'binary', maxLength: 300 }).map((text) => Buffer.from(text)),
      fc.json().map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(
        body,
        fc.constantFrom(parseEventEnvelope, parseMessageEnvelope),
        (bytes, parse) => outcomeOf(() => parse(bytes)) === 'malformed_push',
      ),
      { numRuns: RANDOM_BODIES },
    );
  });
});

function assertFields(value: unknown): asserts value is XmlValue {
  if (typeof value === 'string') return;
  if (typeof value !== 'object' || value === null) throw new Error('neither text nor elements');
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) {
    throw new Error('a prototype was set');
  }
  Object.values(value).forEach(assertFields);
}
