import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeeperError } from '../../../src/lib/errors.ts';
import type { PushValue } from '../../../src/wechat/push/push-fields.ts';
import { parsePushXml } from '../../kit/parse-push-xml.ts';

const MUTATIONS = 50_000;
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

describe('a large document', () => {
  it('is read whole, however many tags it has', () => {
    const wide = element('xml', '<a/>'.repeat(12_000));
    expect(parsePushXml(wide).a).toHaveLength(12_000);
    const text = '<a>'.repeat(2_000);
    expect(parsePushXml(element('xml', element('A', cdata(text))))).toEqual({ A: text });
  });

  it('of many levels is text below the thirty-second', () => {
    const deep = (levels: number) =>
      element('xml', '<a>'.repeat(levels) + '1' + '</a>'.repeat(levels) + element('B', '2'));
    for (const levels of [3, 32, 33, 100, 5_000]) {
      let value: PushValue | undefined = parsePushXml(deep(levels));
      expect(value).toMatchObject({ B: '2' });
      let depth = 0;
      for (; typeof value === 'object' && !Array.isArray(value); depth += 1) value = value.a;
      expect(depth).toBe(Math.min(levels, 32));
      expect(value).toContain('1');
    }
  });

  it('of references stays as small as it was', () => {
    const xml = element('xml', element('A', '&#x41;'.repeat(10_000)));
    expect(parsePushXml(xml)).toEqual({ A: 'A'.repeat(10_000) });
    expect(parsePushXml(element('xml', element('A', '&amp;lt;')))).toEqual({ A: '&lt;' });
  });
});

describe('a document made to cost time', () => {
  // A reader that looks for each end from each beginning would not be done within the test's limit.
  it.each(['<', '<!--', '<![CDATA[', '<!D [', ']]>', '<a', '<a/>', '<a><![CDATA[]]>'])(
    'of a million bytes of %j is read in one go',
    (piece) => {
      const read = () => parsePushXml(`<xml>${piece.repeat(1_000_000 / piece.length)}<a/></xml>`);
      expect(read()).toHaveProperty('a');
    },
  );
});

describe('names that JavaScript knows', () => {
  it('are harmless as attributes, which nobody reads', () => {
    const fields = parsePushXml('<xml><A __proto__="1" constructor="2">3</A></xml>');
    expect(fields).toEqual({ A: '3' });
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
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
    expect(ends.fields).toBeGreaterThan(MUTATIONS / 2);
  });
});

function assertFields(value: unknown): asserts value is PushValue {
  if (typeof value === 'string') return;
  if (typeof value !== 'object' || value === null) throw new Error('neither text nor elements');
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) {
    throw new Error('a prototype was set');
  }
  Object.values(value).forEach(assertFields);
}
