import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  appidsFor,
  findApiKey,
  makeApiKey,
  parseApiKeyEntry,
  type ApiKey,
  type Scope,
} from '../../src/config/api-keys.ts';

const SHOP = 'wx0123456789abcdef';
const OTHER = 'wxfedcba9876543210';
const HASH = 'a'.repeat(64);

function keyWith(scopes: string): ApiKey {
  const key = parseApiKeyEntry(`shop:${HASH}:${scopes}`);
  if (key === undefined) throw new Error(`${scopes} does not parse`);
  return key;
}

describe('making an API key', () => {
  it('gives a key that carries its id and an entry that holds only the hash', () => {
    const { key, entry } = makeApiKey('shop-1', 'credentials:read');
    expect(key).toMatch(/^wxk_shop-1_[A-Za-z0-9_-]{43}$/);
    const hash = createHash('sha256').update(key).digest('hex');
    expect(entry).toBe(`shop-1:${hash}:credentials:read`);
    expect(entry).not.toContain(key.slice(-43));
  });

  it('never gives the same key twice', () => {
    expect(makeApiKey('shop', 'admin').key).not.toBe(makeApiKey('shop', 'admin').key);
  });
});

describe('reading the entry of an API key', () => {
  it('gives every scope with the appid it is narrowed to', () => {
    const scopes = `credentials:read@${SHOP}+credentials:refresh+status:read+admin@${OTHER}`;
    expect(parseApiKeyEntry(`shop:${HASH}:${scopes}`)).toEqual({
      id: 'shop',
      sha256: HASH,
      grants: [
        { scope: 'credentials:read', appid: SHOP },
        { scope: 'credentials:refresh', appid: undefined },
        { scope: 'status:read', appid: undefined },
        { scope: 'admin', appid: OTHER },
      ],
    });
  });

  it('takes the appid of any account that may authorize', () => {
    const appid = 'wxAbCdEfGhIjKlMnOp';
    const { grants } = parseApiKeyEntry(`shop:${HASH}:admin@${appid}`) ?? {};
    expect(grants).toEqual([{ scope: 'admin', appid }]);
  });

  it.each([
    ['nothing', ''],
    ['no scope', `shop:${HASH}:`],
    ['no hash', 'shop::admin'],
    ['an id with capitals', `Shop:${HASH}:admin`],
    ['an id that begins with a hyphen', `-shop:${HASH}:admin`],
    ['an id with an underscore', `my_shop:${HASH}:admin`],
    ['an id of 33 characters', `${'s'.repeat(33)}:${HASH}:admin`],
    ['a hash that is too short', `shop:${HASH.slice(1)}:admin`],
    ['a hash with capitals', `shop:${'A'.repeat(64)}:admin`],
    ['the key instead of its hash', `shop:${makeApiKey('shop', 'admin').key}:admin`],
    ['an unknown scope', `shop:${HASH}:credentials:write`],
    ['an unknown scope beside a known one', `shop:${HASH}:admin+root`],
    ['an empty scope at the end', `shop:${HASH}:admin+`],
    ['an appid of another form', `shop:${HASH}:admin@shop`],
    ['an empty appid', `shop:${HASH}:admin@`],
    ['hex in capitals, as no appid is kept', `shop:${HASH}:admin@wxABCDEF0123456789`],
    ['something behind the appid', `shop:${HASH}:admin@${SHOP}0`],
    ['a comma for a plus', `shop:${HASH}:admin,status:read`],
    ['a line break', `shop:${HASH}:admin\n`],
  ])('refuses %s', (_what, entry) => {
    expect(parseApiKeyEntry(entry)).toBeUndefined();
  });
});

describe('finding who presents a key', () => {
  const made = [makeApiKey('shop', 'credentials:read'), makeApiKey('ops-2', 'admin')];
  const keys = made.flatMap(({ entry }) => parseApiKeyEntry(entry) ?? []);
  const [shop = '', ops = ''] = made.map(({ key }) => key);

  it('finds each by its own key', () => {
    expect(findApiKey(keys, shop)?.id).toBe('shop');
    expect(findApiKey(keys, ops)?.id).toBe('ops-2');
  });

  it.each([
    ['nothing', ''],
    ['a key with one other letter', shop.slice(0, -1) + (shop.endsWith('A') ? 'B' : 'A')],
    ['a key cut short', shop.slice(0, -1)],
    ['a key with more behind it', `${shop}A`],
    ["another caller's random part under this id", `wxk_shop_${ops.slice(-43)}`],
    ['its own random part under an id nobody has', `wxk_nobody_${shop.slice(-43)}`],
    ['the entry of the configuration', made[0]?.entry ?? ''],
    ['the hash of the configuration', keys[0]?.sha256 ?? ''],
    ['a fresh key of the same id', makeApiKey('shop', 'admin').key],
  ])('finds nobody for %s', (_what, presented) => {
    expect(findApiKey(keys, presented)).toBeUndefined();
  });

  it('finds nobody when no key is configured', () => {
    expect(findApiKey([], shop)).toBeUndefined();
  });
});

describe('where a key may use a scope', () => {
  const all: Scope[] = ['credentials:read', 'credentials:refresh', 'status:read', 'admin'];

  it.each(['credentials:read', 'credentials:refresh', 'status:read'] as const)(
    'everywhere for %s when it was given that, and nowhere for another',
    (given) => {
      const key = keyWith(given);
      for (const scope of all) {
        expect(appidsFor(key, scope)).toEqual(scope === given ? undefined : []);
      }
    },
  );

  it('everywhere for everything as admin', () => {
    for (const scope of all) expect(appidsFor(keyWith('admin'), scope)).toBeUndefined();
  });

  it('for its own appid only when the scope is narrowed', () => {
    const key = keyWith(`credentials:read@${SHOP}`);
    expect(appidsFor(key, 'credentials:read')).toEqual([SHOP]);
    expect(appidsFor(key, 'status:read')).toEqual([]);
  });

  it('for its own appid only, but for everything, as a narrowed admin', () => {
    for (const scope of all) expect(appidsFor(keyWith(`admin@${SHOP}`), scope)).toEqual([SHOP]);
  });

  it('for each appid that is named, scope by scope', () => {
    const key = keyWith(`credentials:read@${SHOP}+status:read+credentials:read@${OTHER}`);
    expect(appidsFor(key, 'credentials:read')).toEqual([SHOP, OTHER]);
    expect(appidsFor(key, 'status:read')).toBeUndefined();
    expect(appidsFor(key, 'credentials:refresh')).toEqual([]);
  });

  it('everywhere when a narrowed grant stands beside one that is not', () => {
    const beside = `credentials:read@${SHOP}+credentials:read`;
    expect(appidsFor(keyWith(beside), 'credentials:read')).toBeUndefined();
    const admin = keyWith(`credentials:read@${SHOP}+admin`);
    expect(appidsFor(admin, 'credentials:read')).toBeUndefined();
  });
});
