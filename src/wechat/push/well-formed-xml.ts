import { XMLParser } from 'fast-xml-parser';
import { SyntaxValidator } from 'fast-xml-validator';
import { gather, type Entry, type PushValue, type ReadDocument } from './push-fields.ts';

/**
 * XML as WeChat usually sends it, read by a library. Whatever is not plainly that (markup that is broken,
 * declarations, comments, text between elements, too much of anything) is left to the reader in
 * `push-xml.ts`, which refuses nothing and gives the same result for what is read here.
 */

const ROOT = /^<xml[\s>][^]*<\/xml>\s*$/;
const CDATA_SECTION = /<!\[CDATA\[[^]*?\]\]>/g;
/** Tags: no push of WeChat's has nearly as many, and the library's time does not grow with them evenly. */
const MAX_MARKUP = 1_000;
const CDATA = '#cdata';
const TEXT = '#text';

/** An element under its name, or text; in the order of the document. */
type Node = Readonly<Record<string, readonly Node[] | string>>;

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  cdataPropName: CDATA,
  // Entities are the caller's, so that both readers know the same ones.
  processEntities: false,
  maxNestedTags: 12,
  strictReservedNames: true,
  onDangerousProperty: () => {
    throw new Error('reserved element name');
  },
});

/**
 * @param text with line ends as XML wants them
 * @param decode what becomes of the entities in a text
 * @returns undefined when it is for the other reader
 */
export function readWellFormed(
  text: string,
  decode: (text: string) => string,
): ReadDocument | undefined {
  if (!ROOT.test(text)) return undefined;
  // Unclosed, it would make the search below quadratic.
  if (text.lastIndexOf('<![CDATA[') > text.lastIndexOf(']]>')) return undefined;
  const markup = text.replace(CDATA_SECTION, '');
  if (markup.includes('<!') || markup.includes('<?') || markup.includes(']]>')) return undefined;
  if (markup.split('<', MAX_MARKUP + 2).length > MAX_MARKUP + 1) return undefined;
  try {
    SyntaxValidator.validate(text);
    const [root, ...more] = parser.parse(text) as Node[];
    const children = root?.xml;
    if (typeof children !== 'object' || more.length > 0) return undefined;
    const mentions = new Map<string, number[]>();
    const read = (nodes: readonly Node[], place?: number) =>
      elements(nodes, { decode, mentions, place });
    const entries = read(children);
    return entries.length === 0 ? undefined : { entries, mentions, tornAt: undefined, whole: true };
  } catch {
    return undefined;
  }
}

interface Reading {
  decode: (text: string) => string;
  mentions: Map<string, number[]>;
  /** The entry of the document that all of this is in; undefined for the entries themselves. */
  place: number | undefined;
}

/** @throws Error when there is text between them */
function elements(nodes: readonly Node[], reading: Reading): Entry[] {
  const entries: Entry[] = [];
  for (const node of nodes) {
    const [[name, content] = ['', '']] = Object.entries(node);
    if (name === TEXT || name === CDATA) {
      if (textIn(node).trim() !== '') throw new Error('text between elements');
      continue;
    }
    const place = reading.place ?? entries.length;
    const places = reading.mentions.get(name);
    if (places === undefined) reading.mentions.set(name, [place]);
    else places.push(place);
    entries.push([name, valueOf(content as readonly Node[], { ...reading, place })]);
  }
  return entries;
}

/** White space around a text is layout; in CDATA it is text. */
function valueOf(nodes: readonly Node[], reading: Reading): PushValue {
  const isText = (node: Node) => TEXT in node || CDATA in node;
  if (!nodes.every(isText)) return gather(elements(nodes, reading));
  let value = '';
  let kept = 0;
  let begun = false;
  for (const node of nodes) {
    if (CDATA in node) {
      value += textIn(node);
      kept = value.length;
    } else {
      value += reading.decode(begun ? textIn(node) : textIn(node).trimStart());
    }
    begun = true;
  }
  return value.slice(0, kept) + value.slice(kept).trimEnd();
}

function textIn(node: Node): string {
  if (typeof node[TEXT] === 'string') return node[TEXT];
  const [inner] = (node[CDATA] ?? []) as readonly Node[];
  return typeof inner?.[TEXT] === 'string' ? inner[TEXT] : '';
}
