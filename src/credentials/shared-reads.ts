import type { Redis } from 'ioredis';

/**
 * Does a read of Redis for all who ask for the same thing before it is sent. It is sent once all of the
 * requests that have just come in are looked at, with the reads of everything else that they ask for: in
 * one write to the connection. So nobody is given what was read before he asked, and nobody waits for a
 * read that others have begun.
 */
export type ShareRead<T> = (name: string, read: () => Promise<T>) => Promise<T>;

interface Waiting<T> {
  read: () => Promise<T>;
  result: Promise<T>;
  settle: (result: Promise<T>) => void;
}

export function createSharedReads<T>(redis: Pick<Redis, 'stream'>): ShareRead<T> {
  let waiting = new Map<string, Waiting<T>>();
  const send = () => {
    const sent = waiting;
    waiting = new Map();
    // There is none before the first connection.
    const stream = redis.stream as Redis['stream'] | undefined;
    stream?.cork();
    for (const { read, settle } of sent.values()) settle(read());
    stream?.uncork();
  };
  return (name, read) => {
    const known = waiting.get(name);
    if (known !== undefined) return known.result;
    // Runs when every socket that has something to say has been heard.
    if (waiting.size === 0) setImmediate(send);
    const one = { read } as Waiting<T>;
    one.result = new Promise((resolve) => (one.settle = resolve));
    waiting.set(name, one);
    return one.result;
  };
}
