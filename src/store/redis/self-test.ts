import { randomBytes } from 'node:crypto';
import { keyTypes, sharedKeyTypes, type Keys } from './keys.ts';
import { onRedis } from './connection.ts';
import type { Refusal } from './health.ts';
import { firstWordsOf, wordOf, type RedisError } from './error-words.ts';
import { loadScript, runScript } from './scripts.ts';
import { hidesFailovers, runScripts } from './self-test-scripts.ts';
import { operationOf } from './sent-commands.ts';
import { shardsOf, type Shard } from './shards.ts';
import type { Store } from './store.ts';

/**
 * Tries out, on keys of its own, whether Redis lets us do all we need and keeps what it is given: found
 * out by a person at start, and not by the first refresh at night. Readiness, status and doctor speak
 * from this.
 */
export interface SelfTest {
  /** Commands that Redis refuses to our user. */
  forbidden: string[];
  /** Redis may throw records away when its memory is full. */
  evicts: boolean;
  /** Scripts do not learn of restarts and failovers: INFO shows them no replication id. */
  hidesFailovers: boolean;
  /** Why it takes no writes: `OOM`, `MISCONF` (it cannot save to disk), `READONLY` and the like. */
  refuses: string | undefined;
  /** Commands and scripts that it refuses for another reason, and what it refused in earnest. */
  refused: Pick<Refusal, 'operation' | 'word' | 'words' | 'key' | 'subject'>[];
  /** Keys of ours that hold something else. */
  spoiled: SpoiledKey[];
  /** The masters of a cluster at which any of this was found; empty where there is only one. */
  servers: string[];
  /** Of Redis, the oldest of several; undefined when it does not say. */
  version: string | undefined;
}

export interface SpoiledKey {
  key: string;
  /** The component or account it is about; undefined for those of all. */
  subject: string | undefined;
  holds: string;
  belongs: string;
  /** Pushes or refreshes cannot be written. */
  needed: boolean;
}

/** What Redis says of its state as a whole. */
const STATE = /^(?:OOM|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|LOADING|BUSY|CLUSTERDOWN)$/;

const probeScript = loadScript('redis/probe');

/**
 * Resolves when Redis has answered what it would answer a push: while it holds up writes, too, it keeps
 * this waiting.
 * @param tag chooses the shard of a cluster
 * @throws KeeperError `store_unavailable`
 */
export async function probeStore({ redis, keys }: Store, tag?: string): Promise<void> {
  await onRedis(() => runScript(redis, probeScript, [keys.selfTest('probe', tag)], []));
}

/**
 * @param subjects appids of the components and accounts whose keys are looked at
 * @throws KeeperError `store_unavailable`
 */
export async function testStore(store: Store, subjects: readonly string[] = []): Promise<SelfTest> {
  const found = new Findings();
  const servers: string[] = [];
  const versions: string[] = [];
  let [evicts, hides] = [false, false];
  const shards = shardsOf(store.redis, 'self_test');
  for (const shard of shards) {
    const own = new Findings();
    // That one is away is known elsewhere, and what the others say is still worth having.
    const answer = await tryShard(store, shard, own).catch((error: unknown) => {
      if (shards.length === 1) throw error;
      return undefined;
    });
    if (answer === undefined) continue;
    evicts ||= answer.evicts;
    hides ||= answer.hidesFailovers;
    versions.push(answer.version ?? '');
    const troubled = own.any() || answer.evicts || answer.hidesFailovers;
    if (troubled && shard.address !== undefined) servers.push(shard.address);
    found.merge(own);
  }
  const spoiled = await findSpoiled(store, subjects).catch((error: unknown) => {
    found.addThrown(error);
    return [];
  });
  // Nobody has answered.
  if (versions.length === 0) await probeStore(store);
  const [version = ''] = versions.sort();
  return {
    ...found.result(),
    evicts,
    hidesFailovers: hides,
    spoiled,
    servers,
    version: version === '' ? undefined : version,
  };
}

/** @throws KeeperError `store_unavailable` */
async function tryShard(store: Store, { tag, master }: Shard, found: Findings) {
  const run = randomBytes(4).toString('hex');
  const noted = <T>(none: T) => {
    return (error: unknown) => {
      found.addThrown(error);
      return none;
    };
  };
  for (const error of await tryCommands(store, run, tag)) found.add(error);
  if (!found.has('EVAL')) {
    await probeStore(store, tag).catch(noted(undefined));
    for (const error of await runScripts(store, run, tag)) found.addThrown(error);
  }
  const canTell = !found.has('EVAL') && !found.has('INFO');
  const hides = canTell && (await hidesFailovers(store, run, tag).catch(noted(false)));
  const info = await onRedis(() => master.info()).catch(noted(''));
  return {
    evicts: /maxmemory_policy:allkeys/.test(info),
    hidesFailovers: hides,
    version: /^redis_version:(\S+)/m.exec(info)?.[1],
  };
}

/** Sorts what was refused by what a person must change. */
class Findings {
  private readonly forbidden = new Set<string>();
  private readonly refused = new Map<string, SelfTest['refused'][number]>();
  private refuses: string | undefined;
  /** Refused from within a script, in words that do not name the command. */
  private readonly inScripts: SelfTest['refused'] = [];

  add(error: RedisError): void {
    const word = wordOf(error);
    // What came of two replicas that took away the same thing.
    if (word === 'NOSCRIPT' || error.message.includes('no such key')) return;
    if (STATE.test(word)) {
      this.refuses ??= word;
      return;
    }
    const { command = { name: '', args: [] } } = error;
    const [, itself] = /^unknown command (eval(?:sha)?)$/i.exec(word) ?? [];
    const inScript = /^eval/i.test(command.name) && itself === undefined;
    const operation = itself?.toUpperCase() ?? operationOf(command).name;
    const named = / the '([\w|]+)' command/.exec(error.message)?.[1]?.toUpperCase();
    if (word === 'NOPERM' && (named !== undefined || !inScript)) {
      this.forbidden.add(named ?? operation);
      return;
    }
    const words = firstWordsOf(error);
    const entry = { operation, word, words, key: undefined, subject: undefined };
    if (inScript) this.inScripts.push(entry);
    else this.refused.set(operation, entry);
  }

  any(): boolean {
    const { forbidden, refuses, refused } = this.result();
    return refuses !== undefined || forbidden.length + refused.length > 0;
  }

  /** With what was found at another shard. */
  merge(other: Findings): void {
    for (const one of other.forbidden) this.forbidden.add(one);
    for (const [name, one] of other.refused) this.refused.set(name, one);
    this.refuses ??= other.refuses;
    this.inScripts.push(...other.inScripts);
  }

  /** @throws what is no refusal */
  addThrown(thrown: unknown): void {
    const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown;
    if (!(cause instanceof Error)) throw thrown;
    if (cause.name === 'ReplyError') this.add(cause);
    else if (cause !== thrown) throw thrown;
    else this.inScripts.push(oddAnswer(cause));
  }

  has(operation: string): boolean {
    return this.forbidden.has(operation) || this.refused.has(operation);
  }

  result(): Pick<SelfTest, 'forbidden' | 'refuses' | 'refused'> {
    // By their text they run all the same.
    if (!this.has('EVAL')) {
      this.forbidden.delete('EVALSHA');
      this.refused.delete('EVALSHA');
    }
    const explained = this.forbidden.size + this.refused.size > 0 || this.refuses !== undefined;
    const refused = [...this.refused.values(), ...(explained ? [] : this.inScripts)];
    const once = new Map(refused.map((one) => [one.operation, one]));
    return { forbidden: [...this.forbidden], refuses: this.refuses, refused: [...once.values()] };
  }
}

/** An answer of another shape than any Redis gives: a proxy's. */
function oddAnswer({ message }: Error): SelfTest['refused'][number] {
  const words = `answer not understood (${message.slice(0, 60)})`;
  return { operation: 'script', word: 'ERR', words, key: undefined, subject: undefined };
}

/** The errors of Redis. @throws KeeperError `store_unavailable` */
async function tryCommands(
  { redis, keys }: Store,
  run: string,
  tag: string,
): Promise<RedisError[]> {
  const commands = neededCommands(keys, run, tag);
  const pipeline = redis.pipeline(commands.map(([name, ...args]) => [name.toLowerCase(), ...args]));
  const replies = await onRedis(async () => {
    const all = (await pipeline.exec()) ?? [];
    const lost = all.find(([error]) => error !== null && error.name !== 'ReplyError');
    if (lost?.[0]) throw lost[0];
    return all;
  });
  return replies.flatMap(([error], index) => {
    if (error === null) return [];
    const [name = '', ...args] = commands[index] ?? [];
    return [Object.assign(error, { command: { name, args } })];
  });
}

/** @throws KeeperError `store_unavailable` */
async function findSpoiled(
  { redis, keys }: Store,
  subjects: readonly string[],
): Promise<SpoiledKey[]> {
  const looked = [
    ...sharedKeyTypes(keys).map((one) => [undefined, ...one] as const),
    ...subjects.flatMap((appid) => keyTypes(keys, appid).map((one) => [appid, ...one] as const)),
  ];
  const holds = await onRedis(() => Promise.all(looked.map(([, key]) => redis.type(key))));
  return looked.flatMap(([subject, key, belongs, use], index) => {
    const type = holds[index] ?? 'none';
    if (type === 'none' || type === belongs) return [];
    return [{ key, subject, holds: type, belongs, needed: use === 'needed' }];
  });
}

/** Every command that we ever send, in scripts or outside, on keys of their own. */
export function neededCommands(
  keys: Keys,
  run = 'try',
  tag?: string,
): [string, ...(string | number)[]][] {
  const names = ['hash', 'other', 'text', 'list', 'stream', 'sorted', 'set'] as const;
  const [hash, other, text, list, stream, sorted, set] = names.map((name) =>
    keys.selfTest(`${run}:${name}`, tag),
  ) as [string, string, string, string, string, string, string];
  return [
    ['PING'],
    ['TIME'],
    ['INFO', 'replication'],
    ['HSET', hash, 'a', 1],
    ['HGET', hash, 'a'],
    ['HMGET', hash, 'a', 'b'],
    ['HGETALL', hash],
    ['HEXISTS', hash, 'a'],
    ['HSETNX', hash, 'a', 1],
    ['HINCRBY', hash, 'a', 1],
    ['HDEL', hash, 'b'],
    ['TYPE', hash],
    ['RENAME', hash, other],
    ['SET', text, 1, 'PX', 1_000],
    ['GET', text],
    ['EXISTS', text],
    ['PTTL', text],
    ['LPUSH', list, 1],
    ['LTRIM', list, 0, 0],
    ['LINDEX', list, 0],
    ['LRANGE', list, 0, -1],
    ['XADD', stream, 'MAXLEN', '~', 10, '*', 'a', 1],
    ['XREVRANGE', stream, '+', '-', 'COUNT', 1],
    ['ZADD', sorted, 1, 'a'],
    ['ZCARD', sorted],
    ['ZCOUNT', sorted, '-inf', 1],
    ['ZSCORE', sorted, 'a'],
    ['ZMSCORE', sorted, 'a'],
    ['ZRANGE', sorted, 0, 0],
    ['ZRANGEBYLEX', sorted, '-', '+', 'LIMIT', 0, 1],
    ['ZRANGEBYSCORE', sorted, '-inf', 1, 'LIMIT', 0, 1],
    ['ZREM', sorted, 'a'],
    ['SADD', set, 'a'],
    ['SCARD', set],
    ['SMISMEMBER', set, 'a'],
    ['PEXPIRE', set, 1_000],
    ['PUBLISH', keys.selfTest('channel'), '{}'],
    ['EVAL', 'return 1', 1, text],
    ['EVALSHA', '0'.repeat(40), 1, text],
    ['DEL', hash, other, text, list, stream, sorted, set],
  ];
}
