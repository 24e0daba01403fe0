import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { badCalls } from '../../kit/script-check.ts';

const STORE = new URL('../../../src/store/', import.meta.url);
const FILES = readdirSync(STORE, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.lua'),
);

describe('scripts name commands and keys so that clouds which read them first let them run', () => {
  it('knows what those refuse', () => {
    const why = (body: string) => badCalls(body).map((bad) => bad.why);
    expect(why("local key = KEYS[1] redis.call('GET', key)")).toEqual(['key']);
    expect(why("redis.pcall('SET', KEYS[1] .. 'x', 1)")).toEqual(['key']);
    expect(why("redis.call('SET', 'name', KEYS[1])")).toEqual(['key']);
    expect(why("redis.call('RENAME', KEYS[1], other)")).toEqual(['key']);
    expect(why('redis.call(unpack(command))')).toEqual(['name']);
    expect(why("redis.call(\n  'HSET', KEYS[1],\n 'a,(', f(1, 2)) redis.call(name, 1)")).toEqual([
      'name',
    ]);
    expect(
      why("redis.call('GET', KEYS[n + 1]) redis.call('TIME') redis.pcall('PUBLISH', a.c, '')"),
    ).toEqual([]);
    // Those that are stricter still.
    const strict = { literalIndexes: true, noUnpack: true, noPublish: true };
    expect(badCalls("redis.call('GET', KEYS[n])", strict)).toMatchObject([{ why: 'index' }]);
    expect(badCalls("redis.call('PUBLISH', 'c', '')", strict)).toMatchObject([{ why: 'publish' }]);
    const unpacking = "redis.call('HSET', KEYS[1], unpack(fields))";
    expect(badCalls(unpacking, strict)).toMatchObject([{ why: 'unpack' }]);
  });

  it('finds the scripts', () => {
    expect(FILES.length).toBeGreaterThan(25);
  });

  it.each(FILES)('%s', (file) => {
    expect(badCalls(readFileSync(new URL(file, STORE), 'utf8'))).toEqual([]);
  });
});
