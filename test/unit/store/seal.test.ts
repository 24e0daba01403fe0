import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createTokenEncryption } from '../../../src/store/redis/token-encryption.ts';

const newKey = (id: string) => ({ id, key: randomBytes(32).toString('base64') });
const OLD = newKey('old');
const NEW = newKey('new');
const TOKEN = 'refreshtoken@@@plain-text';
const CONTEXT = 'wx0123456789abcdef:wxfedcba9876543210';

/** The sealed text with one byte of its body changed. */
function tampered(sealed: string, at: number): string {
  const head = sealed.slice(0, sealed.lastIndexOf(':') + 1);
  const bytes = Buffer.from(sealed.slice(head.length), 'base64url');
  const index = at < 0 ? bytes.length + at : at;
  bytes.writeUInt8(bytes.readUInt8(index) ^ 1, index);
  return head + bytes.toString('base64url');
}

describe('a seal', () => {
  const encryption = createTokenEncryption([OLD]);
  const sealed = encryption.seal(TOKEN, CONTEXT);

  it('names its key, hides the text, and opens with its key where it belongs', () => {
    expect(sealed).toMatch(/^sealed:v1:old:[A-Za-z0-9_-]+$/);
    expect(
      Buffer.from(sealed.slice(sealed.lastIndexOf(':')), 'base64url').toString(),
    ).not.toContain('plain-text');
    expect(encryption.open(sealed, CONTEXT)).toBe(TOKEN);
  });

  it('never makes the same text twice', () => {
    expect(encryption.seal(TOKEN, CONTEXT)).not.toBe(sealed);
  });

  it.each([
    ['wx0123456789abcdef:wx00000000000000aa'],
    ['wx0123456789abcdee:wxfedcba9876543210'],
    [''],
  ])('does not open in the record of %j', (other) => {
    expect(encryption.open(sealed, other)).toBeUndefined();
  });

  it.each([
    ['its nonce', 0],
    ['the text', 12],
    ['the last byte of the text', -17],
    ['its tag', -1],
  ])('does not open when one bit of %s is changed', (_what, at) => {
    expect(encryption.open(tampered(sealed, at), CONTEXT)).toBeUndefined();
  });

  it('does not open with another key of the same name', () => {
    expect(createTokenEncryption([newKey('old')]).open(sealed, CONTEXT)).toBeUndefined();
  });

  it('does not open when its key is unknown, or when there is no key at all', () => {
    expect(createTokenEncryption([NEW]).open(sealed, CONTEXT)).toBeUndefined();
    expect(createTokenEncryption([]).open(sealed, CONTEXT)).toBeUndefined();
  });

  it('does not open under the name of another key', () => {
    const both = createTokenEncryption([NEW, OLD]);
    expect(both.open(sealed.replace(':old:', ':new:'), CONTEXT)).toBeUndefined();
  });

  it.each([
    'sealed:',
    'sealed:v1:old:',
    'sealed:v1:old:AAAA',
    `sealed:v1:old:${'A'.repeat(36)}`,
    'sealed:v2:old:AAAA',
    'sealed:v1:old:AA AA',
    `${createTokenEncryption([OLD]).seal(TOKEN, CONTEXT)}=`,
    `${createTokenEncryption([OLD]).seal(TOKEN, CONTEXT)}\n`,
  ])('of a form that nobody writes, %j, does not open', (text) => {
    expect(encryption.open(text, CONTEXT)).toBeUndefined();
  });
});

describe('several keys', () => {
  it('the first seals, all open', () => {
    const before = createTokenEncryption([OLD]).seal(TOKEN, CONTEXT);
    const after = createTokenEncryption([NEW, OLD]);
    expect(after.open(before, CONTEXT)).toBe(TOKEN);
    expect(after.seal(TOKEN, CONTEXT)).toMatch(/^sealed:v1:new:/);
    expect(createTokenEncryption([OLD, NEW]).open(after.seal(TOKEN, CONTEXT), CONTEXT)).toBe(TOKEN);
  });
});

describe('what is not sealed', () => {
  it.each([[[]], [[OLD]]])('opens as itself', (keys) => {
    expect(createTokenEncryption(keys).open(TOKEN, CONTEXT)).toBe(TOKEN);
    expect(createTokenEncryption(keys).open('', CONTEXT)).toBe('');
  });

  it('is what comes out without keys', () => {
    expect(createTokenEncryption([]).seal(TOKEN, CONTEXT)).toBe(TOKEN);
  });
});
