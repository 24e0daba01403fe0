import { gather, MAX_DEPTH, type Entry, type ReadDocument } from './push-fields.ts';
import { readWellFormed } from './well-formed-xml.ts';

/**
 * Push XML, read as it comes: what WeChat signed is never lost for its form. There is no markup that
 * this reader refuses; what is none is text. Entities of a DOCTYPE are not known here, nothing is
 * fetched and nothing expands, and the time is linear in the length, also for hostile documents.
 *
 * Values stay the exact strings they were: a MsgId exceeds 2^53, and a nickname may look like a number.
 * Control characters, which XML forbids and people scan and type, stay as they are.
 *
 * WeChat wraps what people typed in CDATA and may forget to split a `]]>` in it, so that a sender could
 * write elements of their own. The rest of WeChat's own wrapping, `]]></Name>`, must then land
 * somewhere: in an element that is repeated, which `ReadDocument` tells by `mentions`, or where it does
 * not belong, which is told by `tornAt`.
 */

const CDATA = '<![CDATA[';
const CDATA_END = ']]>';
/** A tag without its brackets: a slash or none, the name, and what nobody reads. */
const TAG = /^(\/?)([\p{L}_:][^\s/<>"'=&]*)(?:[\s/][^]*)?$/u;
const ENTITY = /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(lt|gt|amp|quot|apos));/gi;
const NAMED: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
};

interface Element {
  name: string;
  entries: Entry[];
  text: string;
  /** So much of `text` keeps its white space, having been in CDATA. */
  kept: number;
  /** Where its first CDATA begins, if that is what its content begins with. */
  cdata: number | undefined;
  /** A `]]>` stands in it outside of CDATA. */
  unsplit: boolean;
}

interface Reader {
  text: string;
  at: number;
  find: (what: string, from: number) => number;
  /** The document itself, and what is open in it. */
  open: [Element, ...Element[]];
  root: 'before' | 'open' | 'closed';
  /** Elements below `MAX_DEPTH` that are open; they are text. */
  tooDeep: number;
  tornAt: number | undefined;
  mentions: Map<string, number[]>;
}

/** @returns undefined when there is no element in it */
export function readXml(document: string): ReadDocument | undefined {
  const text = document.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  return readWellFormed(text.trim(), decodeEntities) ?? readAnything(text);
}

/** The reader for what is not as it should be; it reads the rest just as well. */
export function readAnything(text: string): ReadDocument | undefined {
  const reader: Reader = {
    text,
    at: 0,
    find: finder(text),
    open: [element('')],
    root: 'before',
    tooDeep: 0,
    tornAt: undefined,
    mentions: new Map(),
  };
  while (reader.at < text.length) readNext(reader);
  if (reader.open.length > 1) tear(reader);
  closeTo(reader, 1);
  const [{ entries, text: beside }] = reader.open;
  if (entries.length === 0) return undefined;
  if (beside.trim() !== '') entries.push(['#text', beside.trim()]);
  const { tornAt, mentions } = reader;
  return { entries, tornAt, mentions, whole: tornAt === undefined && reader.root === 'closed' };
}

/** Whatever is not complete by now may be a sender's. */
function tear(reader: Reader): void {
  reader.tornAt ??= reader.open[0].entries.length;
}

function readNext(reader: Reader): void {
  const { text, find } = reader;
  const lt = find('<', reader.at);
  if (lt !== reader.at) {
    addText(reader, lt < 0 ? text.length : lt);
  } else if (text.startsWith(CDATA, lt)) {
    addCdata(reader);
  } else if (text.startsWith('<!--', lt)) {
    skip(reader, '-->');
  } else if (text.startsWith('<?', lt)) {
    skip(reader, '?>');
  } else if (text.startsWith('<!', lt)) {
    const [subset, end] = [find('[', lt), find('>', lt)];
    skip(reader, subset >= 0 && subset < end ? ']>' : '>');
  } else {
    readTag(reader);
  }
}

/** Comments, instructions and declarations. One without an end is text. */
function skip(reader: Reader, ending: string): void {
  const end = reader.find(ending, reader.at);
  if (end < 0) {
    addText(reader, reader.at + 1);
    return;
  }
  const next = end + ending.length;
  if (reader.text.slice(reader.at, next).includes(CDATA_END)) tear(reader);
  reader.at = next;
}

function readTag(reader: Reader): void {
  const { text, at, find } = reader;
  const [end, next] = [find('>', at), find('<', at + 1)];
  const inner = end < 0 || (next >= 0 && next < end) ? '' : text.slice(at + 1, end);
  const [, slash, name] = TAG.exec(inner) ?? [];
  if (name === undefined) {
    addText(reader, at + 1);
    return;
  }
  if (inner.endsWith(']]')) tear(reader);
  if (slash === '/') readEnd(reader, name, end + 1);
  else readStart(reader, name, end + 1, inner.endsWith('/'));
}

function readStart(reader: Reader, name: string, next: number, empty: boolean): void {
  const { text, open } = reader;
  const isRoot = name.toLowerCase() === 'xml' && open.length === 1;
  if (
    isRoot &&
    (reader.root === 'before' ? open[0].entries.length === 0 : reader.root === 'closed')
  ) {
    // A second document is no less suspect than anything else that stands behind the first.
    if (reader.root === 'closed') tear(reader);
    reader.root = empty ? 'closed' : 'open';
    reader.at = next;
    return;
  }
  // So do the samples in WeChat's own documentation end.
  if (isRoot && reader.find('<', next) < 0 && text.slice(next).trim() === '') {
    reader.root = 'closed';
    reader.at = text.length;
    return;
  }
  if (reader.root === 'closed') tear(reader);
  const places = reader.mentions.get(name);
  if (places === undefined) reader.mentions.set(name, [open[0].entries.length]);
  else places.push(open[0].entries.length);
  if (open.length > MAX_DEPTH) {
    if (!empty) reader.tooDeep += 1;
    tear(reader);
    addText(reader, next);
    return;
  }
  reader.at = next;
  open.push(element(name));
  if (empty) closeTo(reader, open.length - 1);
}

function readEnd(reader: Reader, name: string, next: number): void {
  const { open } = reader;
  if (reader.tooDeep > 0) {
    reader.tooDeep -= 1;
    addText(reader, next);
    return;
  }
  let level = open.findLastIndex((one, index) => index > 0 && one.name === name);
  const isRoot = level < 0 && name.toLowerCase() === 'xml' && reader.root === 'open';
  if (isRoot) level = 1;
  // Elements that are still open inside of it, or an end without a beginning.
  if (isRoot ? open.length > 1 : level !== open.length - 1) tear(reader);
  if (level > 0) closeTo(reader, level);
  if (isRoot) reader.root = 'closed';
  reader.at = next;
}

/** Closes elements until `level` of them are left. */
function closeTo({ open, at, text }: Reader, level: number): void {
  while (open.length > level) {
    const closed = open.pop();
    if (closed === undefined) return;
    open.at(-1)?.entries.push([closed.name, valueOf(closed, text, at)]);
  }
}

/** @param end where the end tag begins */
function valueOf(one: Element, document: string, end: number): Entry[1] {
  const text = one.text.slice(0, one.kept) + one.text.slice(one.kept).trimEnd();
  if (one.unsplit && one.cdata !== undefined) {
    // What was typed, with the `]]>` that WeChat did not split.
    const typed = document.slice(one.cdata + CDATA.length, end).trimEnd();
    if (typed.endsWith(CDATA_END)) {
      return typed.slice(0, -CDATA_END.length).replaceAll(`${CDATA_END}${CDATA}`, '');
    }
  }
  if (one.entries.length === 0) return text;
  return gather(text.trim() === '' ? one.entries : [...one.entries, ['#text', text.trim()]]);
}

function addText(reader: Reader, end: number): void {
  const raw = reader.text.slice(reader.at, end);
  const into = reader.open.at(-1) ?? reader.open[0];
  if (raw.trim() !== '') {
    if (raw.includes(CDATA_END)) {
      into.unsplit = true;
      // Inside of what begins with CDATA it was typed; elsewhere it is the rest of something torn.
      if (into.cdata === undefined) tear(reader);
    }
    if (reader.root === 'closed') tear(reader);
  }
  const begins = into.text === '' && into.kept === 0 && into.cdata === undefined;
  into.text += decodeEntities(begins ? raw.trimStart() : raw);
  reader.at = end;
}

function addCdata(reader: Reader): void {
  const { at, text } = reader;
  const end = reader.find(CDATA_END, at);
  if (end < 0) {
    addText(reader, at + 1);
    return;
  }
  const into = reader.open.at(-1) ?? reader.open[0];
  if (into.text === '' && into.entries.length === 0) into.cdata ??= at;
  if (reader.root === 'closed') tear(reader);
  into.text += text.slice(at + CDATA.length, end);
  into.kept = into.text.length;
  reader.at = end + CDATA_END.length;
}

function element(name: string): Element {
  return { name, entries: [], text: '', kept: 0, cdata: undefined, unsplit: false };
}

/** Those of XML and numeric references; any other is the text that it is. */
function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  const decoded = text.replace(ENTITY, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole;
    const code = hex === undefined ? Number(decimal) : parseInt(hex, 16);
    return code > 0x10ffff ? '\uFFFD' : String.fromCodePoint(code);
  });
  // Two references may be the halves of one character.
  return decoded.toWellFormed();
}

/** Finds texts from a place that only moves forward, reading each part of the document once. */
function finder(text: string): Reader['find'] {
  const last = new Map<string, { from: number; found: number }>();
  return (what, from) => {
    const known = last.get(what);
    if (known !== undefined && from >= known.from && (known.found < 0 || known.found >= from)) {
      return known.found;
    }
    const found = text.indexOf(what, from);
    if (known === undefined) last.set(what, { from, found });
    else Object.assign(known, { from, found });
    return found;
  };
}
