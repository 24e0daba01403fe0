/**
 * Where in a JSON text something stands, for a person with an editor. What `JSON.parse` says of a
 * fault differs from version to version, and quotes the text, which holds secrets.
 */

/** A place in a text: lines and columns begin at 1. */
export interface Place {
  line: number;
  column: number;
}

export type JsonText =
  | { value: unknown; placeOf: (path: readonly PropertyKey[]) => Place | undefined }
  | { problem: string; place: Place };

interface Cursor {
  readonly text: string;
  at: number;
  /** Offsets of values, by their path. */
  places: Map<string, number>;
}

class JsonFault extends Error {
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

export function readJson(text: string): JsonText {
  const cursor: Cursor = { text, at: 0, places: new Map() };
  const place = (at: number): Place => {
    const before = text.slice(0, at).split(/\r\n|\n|\r/);
    return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
  };
  try {
    walk(cursor, []);
    skipBlanks(cursor);
    if (cursor.at < text.length) throw new JsonFault(cursor.at, 'there is more behind its end');
    const placeOf = (path: readonly PropertyKey[]) => {
      const at = cursor.places.get(keyOf(path));
      return at === undefined ? undefined : place(at);
    };
    return { value: JSON.parse(text) as unknown, placeOf };
  } catch (error) {
    if (error instanceof JsonFault) return { problem: error.message, place: place(error.at) };
    // Too deep, or a number or a string that the parser takes for none.
    return { problem: 'it cannot be read', place: place(cursor.at) };
  }
}

const keyOf = (path: readonly PropertyKey[]) => JSON.stringify(path.map(String));

function walk(cursor: Cursor, path: readonly PropertyKey[]): void {
  skipBlanks(cursor);
  cursor.places.set(keyOf(path), cursor.at);
  const { text, at } = cursor;
  const first = text[at];
  if (first === '{') walkObject(cursor, path);
  else if (first === '[') walkArray(cursor, path);
  else if (first === '"') readString(cursor);
  else {
    const [word] = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/.exec(
      text.slice(at, at + 400),
    ) ?? [undefined];
    if (word === undefined) throw new JsonFault(at, unexpected(text, at));
    cursor.at += word.length;
  }
}

function walkObject(cursor: Cursor, path: readonly PropertyKey[]): void {
  const names = new Set<string>();
  walkItems(cursor, '}', () => {
    const begin = cursor.at;
    if (cursor.text[begin] !== '"') {
      const message = 'a name must stand in double quotes';
      const known = SPECIAL.find(([sign]) => cursor.text.startsWith(sign, begin));
      throw new JsonFault(begin, known?.[1] ?? message);
    }
    const name = readString(cursor);
    // JSON.parse takes the last one without a word.
    if (names.has(name)) throw new JsonFault(begin, 'this name was there before');
    names.add(name);
    skipBlanks(cursor);
    if (cursor.text[cursor.at] !== ':') throw new JsonFault(cursor.at, 'a colon is missing');
    cursor.at += 1;
    walk(cursor, [...path, name]);
  });
}

function walkArray(cursor: Cursor, path: readonly PropertyKey[]): void {
  let index = 0;
  walkItems(cursor, ']', () => {
    walk(cursor, [...path, index]);
    index += 1;
  });
}

/** What stands between brackets, with commas between the items and none behind the last. */
function walkItems(cursor: Cursor, end: '}' | ']', item: () => void): void {
  const { text } = cursor;
  const begin = cursor.at;
  cursor.at += 1;
  skipBlanks(cursor);
  if (text[cursor.at] === end) {
    cursor.at += 1;
    return;
  }
  for (;;) {
    item();
    skipBlanks(cursor);
    const at = cursor.at;
    if (text[at] === end) break;
    if (at >= text.length) throw new JsonFault(begin, 'this bracket is never closed');
    if (text[at] !== ',') throw new JsonFault(at, afterItem(text, at));
    cursor.at += 1;
    skipBlanks(cursor);
    if (text[cursor.at] === end || text[cursor.at] === ',') {
      throw new JsonFault(at, 'there is a comma too many');
    }
  }
  cursor.at += 1;
}

function readString(cursor: Cursor): string {
  const { text, at: begin } = cursor;
  for (let at = begin + 1; at < text.length; at += 1) {
    const sign = text[at] ?? '';
    if (sign === '\\') {
      if (!/^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.test(text.slice(at, at + 6))) {
        throw new JsonFault(at, 'a backslash must be written twice');
      }
      at += 1;
    } else if (sign === '"') {
      cursor.at = at + 1;
      return JSON.parse(text.slice(begin, cursor.at)) as string;
    } else if (sign < ' ') {
      const breaks = sign === '\n' || sign === '\r';
      if (breaks) throw new JsonFault(begin, 'this quote is not closed in its line');
      throw new JsonFault(at, 'there is a control character');
    }
  }
  throw new JsonFault(begin, 'this quote is never closed');
}

function skipBlanks(cursor: Cursor): void {
  while (/^[ \t\r\n]/.test(cursor.text.charAt(cursor.at))) cursor.at += 1;
}

const SPECIAL: readonly (readonly [string, string])[] = [
  ['//', 'JSON knows no comments'],
  ['/*', 'JSON knows no comments'],
  ['#', 'JSON knows no comments'],
  ["'", 'quotes must be double'],
  ['“', 'quotes must be plain ones'],
  ['”', 'quotes must be plain ones'],
  ['，', 'this is a full-width comma'],
  ['：', 'this is a full-width colon'],
  ['\u00A0', 'there is a blank that is none of ASCII'],
  ['\u3000', 'there is a blank that is none of ASCII'],
  [',', 'there is a comma too many'],
];

function unexpected(text: string, at: number): string {
  if (at >= text.length) return text.trim() === '' ? 'it is empty' : 'it ends too early';
  const known = SPECIAL.find(([sign]) => text.startsWith(sign, at));
  return known?.[1] ?? 'a value is expected here';
}

function afterItem(text: string, at: number): string {
  const known = SPECIAL.find(([sign]) => text.startsWith(sign, at));
  return known?.[1] ?? 'a comma is missing, or a bracket';
}
