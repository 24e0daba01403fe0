import { gather, MAX_DEPTH, type Entry, type PushValue, type ReadDocument } from './push-fields.ts';

/**
 * Push JSON, read as it comes, with the same result as XML: every value is the text that was written,
 * so `1e3` stays `1e3` and no digit of a MsgId is lost; `null` is the empty text; what is repeated is a
 * list. `JSON.parse` would refuse the control characters that people scan, round numbers, and forget
 * that a name came twice.
 */

const BLANKS = /[\s\uFEFF]*/y;
const STRING = /"([^"\\]*(?:\\[^][^"\\]*)*)"/y;
const WORD = /[^\s"{}[\],:]+/y;
const UNESCAPED = /[\0-\x1F]/g;

interface Reader {
  text: string;
  at: number;
  /** At the top, as far as it was read. */
  entries: Entry[];
  mentions: Map<string, number[]>;
}

/** The document ends here, or is none from here on. */
class Torn extends Error {}

/** @returns undefined when it is no object, or nothing in it can be read */
export function readJson(text: string): ReadDocument | undefined {
  const reader: Reader = { text, at: 0, entries: [], mentions: new Map() };
  let whole = false;
  try {
    take(reader, BLANKS);
    if (text[reader.at] !== '{') return undefined;
    readMembers(reader, reader.entries, 1);
    take(reader, BLANKS);
    whole = reader.at >= text.length;
  } catch (error) {
    if (!(error instanceof Torn)) throw error;
  }
  const { entries, mentions } = reader;
  if (entries.length === 0) return undefined;
  return { entries, mentions, whole, tornAt: whole ? undefined : entries.length };
}

function readValue(reader: Reader, depth: number): PushValue {
  if (depth > MAX_DEPTH) throw new Torn();
  take(reader, BLANKS);
  const first = reader.text[reader.at];
  if (first === '"') return readString(reader);
  if (first === '{') {
    const members: Entry[] = [];
    readMembers(reader, members, depth + 1);
    return gather(members);
  }
  if (first === '[') {
    const items: PushValue[] = [];
    readItems(reader, ']', () => items.push(readValue(reader, depth + 1)));
    return items;
  }
  const word = take(reader, WORD) ?? '';
  if (word === '') throw new Torn();
  return word === 'null' ? '' : word.toWellFormed();
}

function readMembers(reader: Reader, into: Entry[], depth: number): void {
  readItems(reader, '}', () => {
    const name = readString(reader);
    const places = reader.mentions.get(name) ?? [];
    places.push(reader.entries.length);
    reader.mentions.set(name, places);
    take(reader, BLANKS);
    if (reader.text[reader.at] !== ':') throw new Torn();
    reader.at += 1;
    into.push([name, readValue(reader, depth)]);
  });
}

/** What stands between two brackets, parted by commas. */
function readItems(reader: Reader, end: string, readItem: () => void): void {
  do {
    reader.at += 1;
    take(reader, BLANKS);
    if (reader.text[reader.at] === end) break;
    readItem();
    take(reader, BLANKS);
  } while (reader.text[reader.at] === ',');
  if (reader.text[reader.at] !== end) throw new Torn();
  reader.at += 1;
}

function readString(reader: Reader): string {
  const raw = take(reader, STRING, 1);
  if (raw === undefined) throw new Torn();
  const escaped = raw.replace(
    UNESCAPED,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  try {
    return (JSON.parse(`"${escaped}"`) as string).toWellFormed();
  } catch {
    // An escape that JSON does not know.
    return raw.toWellFormed();
  }
}

/** What the pattern finds at this place; undefined when it does not. */
function take(reader: Reader, pattern: RegExp, group = 0): string | undefined {
  pattern.lastIndex = reader.at;
  const found = pattern.exec(reader.text);
  if (found === null) return undefined;
  reader.at = pattern.lastIndex;
  return found[group];
}
