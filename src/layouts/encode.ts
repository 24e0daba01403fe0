import { hash } from 'node:crypto';
import type { Codec, LayoutField, LayoutKey } from '../config/layouts.ts';
import type { TemplatePart, TemplateWord } from '../config/layout-template.ts';

/** Names and values of published keys, byte for byte as the applications' own packages write them. */

export interface Published {
  value: string;
  /** Epoch ms; undefined for what stands for something, and has no end. */
  expiresAt: number | undefined;
  /** Of its whole life. */
  lifeSeconds: number;
}

export type NameParts = Readonly<Record<TemplateWord, string>>;

export function nameOf(template: readonly TemplatePart[], parts: NameParts): string {
  return template
    .map((part) => {
      if ('text' in part) return part.text;
      if ('md5' in part) return hash('md5', nameOf(part.md5, parts));
      return part.json ? phpJson(parts[part.word]).slice(1, -1) : parts[part.word];
    })
    .join('');
}

/** The text of a key. */
export function encode({ codec, value: shape }: LayoutKey, published: Published): string {
  const value =
    typeof shape === 'string'
      ? fieldOf(shape, published)
      : Object.fromEntries(
          Object.entries(shape).map(([name, field]) => [name, fieldOf(field, published)]),
        );
  return CODECS[codec](value);
}

type Scalar = string | number;
type Value = Scalar | Readonly<Record<string, Scalar>>;

function fieldOf(field: LayoutField, { value, expiresAt = 0, lifeSeconds }: Published): Scalar {
  switch (field) {
    case 'value':
      return value;
    case 'expires_in':
      return lifeSeconds;
    case 'expires_at':
      return Math.floor(expiresAt / 1_000);
    case 'expires_at_ms':
      return Math.floor(expiresAt);
  }
}

const CODECS: Readonly<Record<Codec, (value: Value) => string>> = {
  raw: (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)),
  json: (value) => JSON.stringify(value),
  php: phpSerialize,
};

/** Source: php.net, serialize; lengths are in bytes. */
export function phpSerialize(value: Value): string {
  if (typeof value === 'string') return `s:${Buffer.byteLength(value)}:"${value}";`;
  if (typeof value === 'number') return `i:${value};`;
  const entries = Object.entries(value);
  const inner = entries.map(([name, one]) => phpKey(name) + phpSerialize(one));
  return `a:${entries.length}:{${inner.join('')}}`;
}

/** What is written as a whole number is one, as a key. */
function phpKey(name: string): string {
  const isNumber = /^(?:0|-?[1-9]\d{0,14})$/.test(name);
  return isNumber ? `i:${name};` : phpSerialize(name);
}

/** As json_encode writes a text without flags: slashes are escaped, and whatever is no ASCII. */
export function phpJson(text: string): string {
  return JSON.stringify(text)
    .replaceAll('/', '\\/')
    .replaceAll(
      /[\u0080-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
}
