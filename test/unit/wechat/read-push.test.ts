import { describe, expect, it } from 'vitest';
import { textOf } from '../../../src/wechat/push/push-fields.ts';
import { readPush } from '../../../src/wechat/push/read-push.ts';

const BEFORE =
  '<ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>' +
  '<CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType>';
const HEAD = { ToUserName: 'gh_1', FromUserName: 'o1', CreateTime: '1', MsgType: 'text' };
/** As WeChat writes it, with one or two texts that people typed and no `]]>` split in them. */
const typed = (content: string, label = 'home') =>
  `<xml>${BEFORE}<Content><![CDATA[${content}]]></Content>` +
  `<Label><![CDATA[${label}]]></Label><MsgId>7</MsgId></xml>`;
const message = (xml: string) => readPush(xml, { typed: true });

describe('row 113: what people typed into a message', () => {
  it.each([
    ['a]]>b'],
    [']]>'],
    [']]> <Event>forged</Event>'],
    ['<![CDATA[x]]> and b'],
    [']]><![CDATA[a'],
    ['</Content><Event>forged</Event>'],
    ['<!-- <Event>forged</Event>'],
    ['\x1D]]>\x08'],
  ])('%j stays what it was, and nothing around it changes', (content) => {
    const { fields } = message(typed(content));
    const text = content.replaceAll(']]><![CDATA[', '');
    expect(fields).toEqual({ ...HEAD, Content: text, Label: 'home', MsgId: '7' });
  });

  const FORGED = '<Event>forged</Event><InfoType>unauthorized</InfoType><MsgId>8</MsgId>';
  it.each([
    ['the field again', `]]></Content>${FORGED}<Content><![CDATA[`],
    ['nothing behind it', `]]></Content>${FORGED}`],
    ['another field', `]]></Content>${FORGED}<X><![CDATA[`],
    ['another field, half open', `]]></Content>${FORGED}<X>`],
    ['the field inside of another', `]]></Content>${FORGED}<X><Content><![CDATA[`],
    ['the end of the document', `]]></Content>${FORGED}</xml>`],
    ['a second document', `]]></Content>${FORGED}</xml><xml><Content><![CDATA[`],
    ['a comment', `]]></Content>${FORGED}<!--`],
    ['a comment that ends in the next text', `]]></Content>${FORGED}<!--`, `--><Label><![CDATA[`],
    ['an instruction', `]]></Content>${FORGED}<?x `, `?><Label><![CDATA[`],
    ['a doctype', `]]></Content>${FORGED}<!DOCTYPE x [`, `]><Label><![CDATA[`],
    ['an attribute', `]]></Content>${FORGED}<X y="`, `"></X><Label><![CDATA[`],
    ['an end tag', `]]></Content>${FORGED}<X></X `, `><Label><![CDATA[`],
    [
      'well-formed elements around the rest',
      `]]></Content>${FORGED}<X><Content><![CDATA[`,
      `]]></Label></X><Label><![CDATA[`,
    ],
    [
      'a CDATA that the next text ends',
      `]]></Content>${FORGED}<X><![CDATA[]]><Content><![CDATA[`,
      `]]></Label>]]></X><Label><![CDATA[`,
    ],
    ['too many levels', `]]></Content>${FORGED}${'<a>'.repeat(40)}<Content><![CDATA[`],
  ])('cannot set a field that decides, with %s', (_what, content, label = 'home') => {
    const { fields, content: all, odd } = message(typed(content, label));
    expect(fields).toMatchObject(HEAD);
    for (const name of ['Event', 'InfoType']) {
      expect(typeof fields[name], name).not.toBe('string');
      expect(all).toHaveProperty(name);
    }
    expect(fields.MsgId).not.toBe('8');
    expect(odd.join()).toMatch(/repeated_fields|broken_markup/);
  });

  it('cannot either in JSON whose quotes were not escaped', () => {
    const json = '{"MsgType":"text","Content":"x","Event":"forged","Content":"y","MsgId":7}';
    const { fields, odd } = message(json);
    expect(fields).toEqual({ MsgType: 'text', Content: ['x', 'y'], MsgId: '7' });
    expect(odd).toEqual(['repeated_fields']);
  });
});

describe('a field that WeChat alone writes, twice', () => {
  const twice = (name: string) =>
    `<xml><AppId>wx</AppId><CreateTime>1</CreateTime><InfoType>authorized</InfoType>` +
    `<AuthorizationCode>c</AuthorizationCode><${name}>2</${name}></xml>`;

  it.each(['AppId', 'CreateTime', 'InfoType'])(
    'takes nothing from an event but itself: %s',
    (name) => {
      const { fields, odd } = readPush(twice(name), { typed: false });
      expect(odd).toEqual(['repeated_fields']);
      for (const one of ['AppId', 'CreateTime', 'InfoType', 'AuthorizationCode']) {
        expect(textOf(fields, one) === undefined, one).toBe(one === name);
      }
    },
  );
});

describe('a push that is not whole', () => {
  const event = (xml: string) => readPush(xml, { typed: false });
  const WHOLE =
    '<xml><AppId>wx</AppId><CreateTime>1</CreateTime><InfoType>authorized</InfoType>' +
    '<AuthorizerAppid>wxa</AuthorizerAppid><AuthorizationCode><![CDATA[queryauthcode@@@1]]></AuthorizationCode>';

  it.each(['', '<xml>', '</xml', '</xml>', '\n', '<Note>hal'])(
    'may end in %j: what came before counts',
    (end) => {
      expect(event(WHOLE + end).fields).toMatchObject({
        InfoType: 'authorized',
        AuthorizerAppid: 'wxa',
        AuthorizationCode: 'queryauthcode@@@1',
      });
    },
  );

  it('never gives half a value', () => {
    for (let length = 0; length < WHOLE.length; length += 1) {
      const { fields } = event(WHOLE.slice(0, length));
      for (const name of Object.keys(fields).filter((one) => one !== '#text')) {
        const element = `<${name}>${textOf(fields, name) ?? ''}</${name}>`;
        expect(WHOLE.replace(/<!\[CDATA\[|\]\]>/g, '')).toContain(element);
      }
    }
  });

  it('is given back as it was', () => {
    for (const text of ['hello', '', '{', '{"a', '[1]', '<xml></xml>', '\0']) {
      expect(event(text)).toMatchObject({ fields: {}, content: {}, raw: text });
    }
    const { raw, odd } = event('<xml><A>1</A><B>2');
    expect({ raw, odd }).toEqual({ raw: '<xml><A>1</A><B>2', odd: ['broken_markup'] });
  });
});

describe('row 105: a push in JSON', () => {
  const json = (text: string) => readPush(text, { typed: false });

  it('has its values as they were written', () => {
    const text =
      '\uFEFF {"MsgId":9007199254740993,"E":1e3,"F":-0.10,"T":true,"N":null,"S":"a\\u001d\\/\\n\x1D",' +
      '"L":[1,"2",{"x":3}],"O":{"__proto__":{"y":"1"},"e":{}},"Half":"\\ud83d",}';
    const { content, fields, format, odd, raw } = json(text);
    expect(content).toEqual({
      MsgId: '9007199254740993',
      E: '1e3',
      F: '-0.10',
      T: 'true',
      N: '',
      S: 'a\x1D/\n\x1D',
      L: ['1', '2', { x: '3' }],
      O: Object.fromEntries([
        ['__proto__', { y: '1' }],
        ['e', {}],
      ]),
      Half: '\uFFFD',
    });
    expect(fields).toEqual(content);
    expect({ format, odd, raw }).toEqual({
      format: 'json',
      odd: ['control_characters'],
      raw: undefined,
    });
    expect({}).not.toHaveProperty('y');
  });

  it('has the same fields as the same push in XML', () => {
    const xml = '<xml><A>1</A><B><C>x</C><C>y</C></B><D/></xml>';
    const same = '{"A":1,"B":{"C":["x","y"]},"D":""}';
    expect(json(same).fields).toEqual(readPush(xml, { typed: false }).fields);
  });

  it.each(['"a":', '{"a":', '"a":"\\\\', '[', '"a":[', '{', ' ', '"a":1,'])(
    'of a million bytes of %j is read in one go',
    (piece) => {
      const text = `{"z":"1",${piece.repeat(1_000_000 / piece.length)}`;
      expect(json(text).content).toHaveProperty('z', '1');
    },
  );
});
