import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Store } from '../store/redis/store.ts';
import type { WechatApi } from '../wechat/client.ts';

/** What nearly every part of the service works with. */
export interface Deps {
  store: Store;
  api: WechatApi;
  clock: Clock;
  log: Log;
  /** Name of this process in records, history and the status. */
  replica: string;
}

/** The same, with a log whose lines carry the room. */
export function inRoom<D extends { log: Log }>(deps: D, room: string): D {
  return { ...deps, log: deps.log.in(room) };
}
