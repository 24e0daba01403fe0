import type { RedisClient } from '../store/redis/client.ts';
import { streamsOf } from '../store/redis/shards.ts';

/**
 * Does a read of Redis for all who ask for the same thing before it is sent. It is sent once all of the
 * requests that have just come in are looked at, with the reads of everything else that they ask for, in
 * one write to the connection; and not while the one before it is under way. Nobody is given what was read
 * before he asked.
 */
export type ShareRead<T> = (name: string, read: () => Promise<T>) => Promise<T>;

/**
 * Milliseconds that a read waits for the one before it: many times what Redis takes. One that takes longer
 * may never be answered, and whoever asks must not wait for two of them.
 */
const HOLD_MS = 20;

interface Waiting<T> {
  read: () => Promise<T>;
  result: Promise<T>;
  settle: (result: Promise<T>) => void;
}

export function createSharedReads<T>(redis: RedisClient): ShareRead<T> {
  const waiting = new Map<string, Waiting<T>>();
  /** What is under way, and what ends its being waited for. */
  const underWay = new Map<string, () => void>();
  let planned = false;
  const plan = () => {
    if (planned) return;
    planned = true;
    // Runs when every socket that has something to say has been heard.
    setImmediate(send);
  };
  const send = () => {
    planned = false;
    const streams = streamsOf(redis);
    for (const stream of streams) stream.cork();
    for (const [name, one] of waiting) {
      if (underWay.has(name)) continue;
      waiting.delete(name);
      one.settle(begin(name, one.read));
    }
    for (const stream of streams) stream.uncork();
  };
  const begin = (name: string, read: () => Promise<T>) => {
    const goOn = () => {
      if (underWay.get(name) !== goOn) return;
      underWay.delete(name);
      if (waiting.has(name)) plan();
    };
    underWay.set(name, goOn);
    const result = read();
    result.then(goOn, goOn);
    return result;
  };
  return (name, read) => {
    const known = waiting.get(name);
    if (known !== undefined) return known.result;
    const one = { read } as Waiting<T>;
    one.result = new Promise((resolve) => (one.settle = resolve));
    waiting.set(name, one);
    const before = underWay.get(name);
    if (before === undefined) plan();
    else setTimeout(before, HOLD_MS);
    return one.result;
  };
}
