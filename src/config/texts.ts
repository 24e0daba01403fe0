import { readFileSync } from 'node:fs';

/** Texts that settings come in, from variables and from files, and what is odd about them. */

/** What a file says, or why it cannot be said; neither names a value. */
export type ReadText = { text: string } | { problem: string };

const REASONS: Readonly<Record<string, string>> = {
  EISDIR: 'it is a folder',
  EACCES: 'this user may not read it',
};

/** Reads a file that somebody has written with an editor. A byte order mark is no part of the text. */
export function readTextFile(path: string): ReadText {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // A path in quotes names no file either, and then they say more.
    const missing = code === 'ENOENT' ? 'there is no such file' : undefined;
    const reason = REASONS[code] ?? oddity(path) ?? missing;
    return { problem: `cannot be read${reason === undefined ? '' : `: ${reason}`}` };
  }
  if (isUtf16(bytes)) return { problem: 'is in UTF-16: save it as UTF-8' };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { problem: `is not in UTF-8 (line ${lineOfBadByte(bytes)}): save it as UTF-8` };
  }
}

/** By its mark, or by the zeros that every letter of ASCII has there. */
function isUtf16(bytes: Buffer): boolean {
  const mark = bytes.subarray(0, 2).toString('hex');
  return mark === 'fffe' || mark === 'feff' || bytes.includes(0);
}

function lineOfBadByte(bytes: Buffer): number {
  const replaced = bytes.toString('utf8');
  const place = replaced.indexOf('\uFFFD');
  return replaced.slice(0, place).split('\n').length;
}

/** Kubernetes gives each container such variables for every Service of its namespace. */
const SERVICE_LINK =
  'it is what Kubernetes sets for a Service of that name: put enableServiceLinks: false into the ' +
  'pod, or give the Service another name';

/** In the order in which a person would mend them. */
const ODDITIES: readonly [RegExp, string][] = [
  [/^(?:tcp|udp|sctp):\/\//i, SERVICE_LINK],
  [/\r$/, 'it ends with a carriage return: save with the line ends of Unix'],
  [/[\r\n]/, 'it has a line break in it'],
  [/^\s+|\s+$/, 'it has blanks around it'],
  [/^(["'`]).*\1$|^["'`“”‘’]|["'`“”‘’]$/, 'it stands in quotes: leave them out'],
  // In an address of the web it is a fragment, and said to be wrong anyhow.
  [/\s#|^(?!https?:)[^#]*#/, 'it has a # in it: a note needs a line of its own'],
  [/[\uFF01-\uFF5E\u3000]/, 'it has full-width characters in it'],
  [/[\u200B-\u200F\u2060\u00AD\p{Cc}]/u, 'it has an invisible character in it'],
  [/\s/, 'it has a blank in it'],
  [/^<.*>$|^\$\{?\w+\}?$|^\{\{.*\}\}$/, 'it is a placeholder that nothing has filled in'],
];

/** Why a text that is refused may have come out wrong, in words that do not quote it. */
export function oddity(text: string | undefined): string | undefined {
  return ODDITIES.find(([pattern]) => text !== undefined && pattern.test(text))?.[1];
}

/** A fault with what is odd about the text, if anything is. */
export function withOddity(fault: string, text: unknown): string {
  const odd = typeof text === 'string' ? oddity(text) : undefined;
  return odd === undefined ? fault : `${fault}; ${odd}`;
}
