import { createCipheriv, createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { KeeperError } from '../../src/lib/errors.ts';
import {
  openPush,
  type EnvelopeSecrets,
  type TrustedPush,
} from '../../src/wechat/push/envelope.ts';
import { readPush } from '../../src/wechat/push/read-push.ts';
import { createUsualOpener, readUsual } from '../../src/wechat/push/usual-push.ts';
import { COMPONENT } from '../kit/platform.ts';

/**
 * Pushes that are nearly as WeChat sends them, through the short way and through the strict one. Whatever
 * the short way takes or refuses by itself, the strict one must take with the same result, or refuse in
 * the same words.
 */
export interface VerdictCase {
  number: number;
  /** What was changed. */
  mutated: string;
  query: Record<string, unknown>;
  body: string;
}

export interface Verdicts {
  /** How many the short way took, was not asked for, or refused. */
  taken: number;
  left: number;
  refused: number;
  difference: (VerdictCase & { usual: unknown; strict: unknown }) | undefined;
}

const SECRETS: EnvelopeSecrets = { ...COMPONENT, componentAppid: COMPONENT.appid };
const KEY = Buffer.from(`${COMPONENT.encodingAesKey}=`, 'base64');
/** Pieces of documents, and characters that mean something somewhere. */
const PIECES = [
  ...['<', '>', '&', ']', ']]>', '<![CDATA[', '</', '/>', '<!--', '-->', '<?x?>', '<!DOCTYPE x>'],
  ...['<xml>', '</xml>', '<XML>', '<A>1</A>', '<A/>', '<A b="1">2</A>', '</A>', '<MsgId>1</MsgId>'],
  ...[
    '&lt;',
    '&#x1D;',
    '&nbsp;',
    '&amp',
    ' ',
    '\n',
    '\r',
    '\r\n',
    '\t',
    '\0',
    '\x1D',
    '\x7F',
    '\v',
  ],
  ...[
    '\u00A0',
    '\u2028',
    '\uFEFF',
    '\uFFFD',
    '\uFFFE',
    '中',
    '😀',
    '0',
    'a',
    '_',
    '-',
    ':',
    '.',
    '=',
  ],
  ...['<constructor>1</constructor>', '<__proto__>1</__proto__>', '<toString>1</toString>'],
  ...['<Encrypt>', '<Encrypt><![CDATA[AAAA]]></Encrypt>', '<InfoType>x</InfoType>', '{', '"'],
];
const TEXTS = [
  ...[
    'hello',
    '',
    ' ',
    '你好',
    'a<b',
    'a&b',
    ' x ',
    '1 ',
    'ticket@@@abc',
    '9007199254740993',
    '😀',
  ],
  ...[']]', '<b>x</b>', '\x1D0110', 'a\nb', 'QUERY_AUTH_CODE:x', '0', '-1', 'null', '\u00A0x'],
];
const NAMES = [
  'Content',
  'MsgId',
  'Event',
  'AppId',
  'InfoType',
  'A',
  'list',
  'Ünicode',
  'a-b',
  'xml',
];

/** The same numbers for the same seed: mulberry32. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

class Mutator {
  private readonly random: () => number;

  constructor(seed: number) {
    this.random = createRandom(seed);
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  one<T>(of: readonly [T, ...T[]] | readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  /** Some pieces put in, taken out, doubled or moved. */
  text(text: string): string {
    let changed = text;
    for (let times = 1 + this.below(3); times > 0; times -= 1) {
      const at = this.below(changed.length + 1);
      const length = 1 + this.below(this.one([1, 4, 30]));
      const [before, piece, after] = [
        changed.slice(0, at),
        changed.slice(at, at + length),
        changed.slice(at + length),
      ];
      changed = this.one([
        () => before + this.one(PIECES) + piece + after,
        () => before + after,
        () => before + piece + piece + after,
        () => before + after + piece,
        () => before + this.one(PIECES) + after,
      ])();
    }
    return changed;
  }

  bytes(bytes: Buffer): Buffer {
    const changed = Buffer.from(bytes);
    // Where what decides stands: the length in front, the appid and the padding behind.
    const from = this.one([0, 16, Math.max(0, changed.length - 40), 0]);
    const at = Math.min(from + this.below(this.one([4, 40])), changed.length - 1);
    changed[at] = this.below(256);
    return this.below(8) === 0
      ? changed.subarray(0, changed.length - this.one([1, 16, 32]))
      : changed;
  }

  document(): string {
    const fields = Array.from({ length: this.below(6) }, () => {
      const [name, text] = [this.one(NAMES), this.one(TEXTS)];
      const inside = this.below(3) > 0 ? `<![CDATA[${text}]]>` : text;
      return `<${name}>${inside}</${name}>`;
    });
    const all = [
      `<ToUserName><![CDATA[gh_${this.below(9)}]]></ToUserName>`,
      `<CreateTime>${1_763_683_200 + this.below(99)}</CreateTime>`,
      ...fields,
    ];
    const space = this.one(['', '\n', '\n  ', ' ']);
    return `<xml>${space}${all.join(space)}${space}</xml>${this.one(['', '', '\n'])}`;
  }
}

const MUTATED = [
  'nothing',
  'document',
  'document',
  'plain bytes',
  'encrypt',
  'body',
  'query',
] as const;

/** @param number of the case, which is the same for a seed whatever was made before it */
export function makeCase(seed: number, number: number): VerdictCase {
  const mutator = new Mutator(Math.imul(seed, 1_000_003) + number);
  const mutated = mutator.one(MUTATED);
  const document = mutator.document();
  const plain = plainOf(mutated === 'document' ? mutator.text(document) : document);
  const padded = mutated === 'plain bytes' ? mutator.bytes(plain) : plain;
  const sealed = encryptBlocks(padded.subarray(0, padded.length - (padded.length % 16)));
  const encrypt = mutated === 'encrypt' ? mutator.text(sealed) : sealed;
  const [timestamp, nonce] = ['1763683200', String(1_000_000 + mutator.below(1e9))];
  const outer = mutator.one([
    `<xml><AppId><![CDATA[${COMPONENT.appid}]]></AppId><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`,
    `<xml>\n    <ToUserName><![CDATA[gh_1]]></ToUserName>\n    <Encrypt><![CDATA[${encrypt}]]></Encrypt>\n</xml>\n`,
    `<xml><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`,
  ]);
  const body = mutated === 'body' ? mutator.text(outer) : outer;
  const query: Record<string, unknown> = { timestamp, nonce, encrypt_type: 'aes' };
  query.msg_signature = signatureOf(timestamp, nonce, encrypt);
  if (mutated === 'query') {
    const name = mutator.one(['timestamp', 'nonce', 'msg_signature']);
    const value = String(query[name]);
    query[name] = mutator.one([
      mutator.text(value),
      value.toUpperCase(),
      [value, value],
      undefined,
    ]);
  }
  return { number, mutated, query, body };
}

function plainOf(message: string): Buffer {
  const text = Buffer.from(message.toWellFormed());
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  const all = Buffer.concat([
    Buffer.from('0123456789abcdef'),
    length,
    text,
    Buffer.from(COMPONENT.appid),
  ]);
  const count = 32 - (all.length % 32);
  return Buffer.concat([all, Buffer.alloc(count, count)]);
}

function encryptBlocks(plain: Buffer): string {
  const cipher = createCipheriv('aes-256-cbc', KEY, KEY.subarray(0, 16)).setAutoPadding(false);
  return Buffer.concat([cipher.update(plain), cipher.final()]).toString('base64');
}

function signatureOf(...parts: string[]): string {
  return createHash('sha1')
    .update([COMPONENT.token, ...parts].sort().join(''))
    .digest('hex');
}

/** Compares both ways over so many cases, and stops at the first difference. */
export function compareVerdicts(cases: number, seed: number): Verdicts {
  const openUsual = createUsualOpener(SECRETS);
  const verdicts: Verdicts = { taken: 0, left: 0, refused: 0, difference: undefined };
  for (let number = 0; number < cases; number += 1) {
    const made = makeCase(seed, number);
    const body = Buffer.from(made.body);
    const typed = number % 2 === 0;
    const usual = verdictOf(() => openUsual(made.query, body), undefined);
    const strict = verdictOf(() => openPush(SECRETS, made.query, body), typed);
    if (usual === undefined) verdicts.left += 1;
    else if (usual.refused === undefined) verdicts.taken += 1;
    else verdicts.refused += 1;
    const taken = usual && withReading(usual, strict, typed);
    if (taken !== undefined && !isDeepStrictEqual(taken, strict)) {
      return { ...verdicts, difference: { ...made, usual: taken, strict } };
    }
  }
  return verdicts;
}

type Verdict = Readonly<Record<string, unknown>> & { refused?: unknown };

function verdictOf(
  open: () => TrustedPush | undefined,
  typed: boolean | undefined,
): Verdict | undefined {
  try {
    const opened = open();
    if (opened === undefined) return undefined;
    const { query, format, message, hashes, lossless, usedPreviousKey, usedPreviousToken } = opened;
    return {
      query,
      format,
      message,
      lossless,
      usedPreviousKey,
      usedPreviousToken,
      ofEncrypt: hashes.ofEncrypt,
      ofContent: hashes.ofContent,
      ...(typed === undefined ? {} : { read: readPush(message, { typed }) }),
    };
  } catch (error) {
    if (!(error instanceof KeeperError)) throw error;
    const { code, message, reason } = error;
    return { refused: { code, message, reason } };
  }
}

/** With what the short way reads in it or, where it reads nothing, what the strict one does. */
function withReading(usual: Verdict, strict: Verdict | undefined, typed: boolean): Verdict {
  if (usual.refused !== undefined) return usual;
  const message = String(usual.message);
  return { ...usual, read: readUsual(message) ?? strict?.read ?? readPush(message, { typed }) };
}
