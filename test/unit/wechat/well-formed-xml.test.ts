import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAnything, readXml } from '../../../src/wechat/push/push-xml.ts';
import { readWellFormed } from '../../../src/wechat/push/well-formed-xml.ts';

/** Two readers, one meaning: which of them read a push must not show. */

const name = fc.constantFrom('ToUserName', 'MsgId', 'Content', 'Event', 'item', 'a', 'xml', '标签');
const typed = fc.string({
  unit: fc.constantFrom('a', ' ', '\n', '&', '<', '>', ']', '"', '/', '中', '\u{1F600}'),
  maxLength: 12,
});
const escaped = typed.map((text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&#62;'),
);
const cdata = typed.map((text) => `<![CDATA[${text.replaceAll(']]>', ']] >')}]]>`);
const layout = fc.constantFrom('', '\n', '  ', '\t\r\n');
const text = fc.array(fc.oneof(escaped, cdata), { maxLength: 3 }).map((parts) => parts.join(''));
const { content } = fc.letrec<{ content: string; element: string }>((tie) => ({
  content: fc.oneof(
    { depthSize: 'small' },
    text,
    fc
      .array(fc.tuple(layout, tie('element')), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.flat().join('') + '\n'),
  ),
  element: fc
    .tuple(name, tie('content'), fc.constantFrom('', ' ', ' a="1"'))
    .map(([tag, inner, beside]) =>
      inner === '' ? `<${tag}${beside}/>` : `<${tag}${beside}>${inner}</${tag}>`,
    ),
}));
const document = fc
  .array(fc.tuple(name, content), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.map(([tag, inner]) => `<${tag}>${inner}</${tag}>`).join('\n'))
  .map((inner) => `<xml>${inner}</xml>`);

describe('what is plainly XML', () => {
  it('means the same to the library and to the reader that refuses nothing', () => {
    let byLibrary = 0;
    fc.assert(
      fc.property(document, (xml) => {
        if (readWellFormed(xml.replace(/\r\n?/g, '\n'), (one) => one) !== undefined) byLibrary += 1;
        expect(readXml(xml)).toEqual(readAnything(xml.replace(/\r\n?/g, '\n')));
      }),
      { numRuns: 2_000, seed: 7 },
    );
    expect(byLibrary).toBeGreaterThan(1_000);
  });

  it.each([
    ['a break inside of CDATA', '<xml><A><![CDATA[a]]]]><![CDATA[>b]]></A></xml>'],
    ['an element that is repeated', '<xml><A>1</A><B><A>2</A></B><A>3</A></xml>'],
    ['names of objects', '<xml><constructor>1</constructor><__proto__><x>1</x></__proto__></xml>'],
    ['references to half characters', '<xml><A>&#55357;&#56832;&#xD83D;</A></xml>'],
    ['entities that nobody knows', '<xml><A>&nbsp;&lol;&amp;amp;</A></xml>'],
    ['twenty levels', `<xml>${'<a>'.repeat(20)}${'</a>'.repeat(20)}</xml>`],
    ['text between elements', '<xml><A>1</A>between<B>2</B></xml>'],
    ['text beside elements', '<xml><A>1<B>2</B>3</A></xml>'],
    ['a declaration and a comment', '<?xml version="1.0"?><!-- - --><xml><A>1</A></xml>'],
    ['two documents', '<xml><A>1</A></xml><xml><B>2</B></xml>'],
    ['what a scanner types', '<xml><A>\u001D01</A><B><![CDATA[\b]]></B></xml>'],
    ['an end that is missing', '<xml><A>1</A><xml>'],
  ])('and what is odd is read alike, whoever reads it: %s', (_what, xml) => {
    expect(readXml(xml)).toEqual(readAnything(xml));
    expect(readXml(xml)).toBeDefined();
  });

  it('is left to the other reader where the library would be slow', () => {
    const wide = `<xml>${'<a/>'.repeat(1_000)}</xml>`;
    expect(readWellFormed(wide, (one) => one)).toBeUndefined();
    expect(readXml(wide)?.entries).toHaveLength(1_000);
  });
});
