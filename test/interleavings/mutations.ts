import { ID, type ScriptName, type SharedStore } from './shared-store.ts';

/** One rule of the protocol taken out, to see that the checks notice. */
export interface Tamper {
  arguments?: (
    script: ScriptName,
    args: Readonly<Record<string, unknown>>,
  ) => Readonly<Record<string, unknown>>;
  after?: (script: ScriptName, store: SharedStore) => Promise<void>;
}

function replacing(script: ScriptName, changed: Readonly<Record<string, unknown>>): Tamper {
  return { arguments: (name, args) => (name === script ? { ...args, ...changed } : args) };
}

function dropping(script: ScriptName, field: string): Tamper {
  return {
    async after(name, { redis, keys }) {
      if (name === script) await redis.hdel(keys.record(ID), field);
    },
  };
}

export const MUTATIONS: Readonly<Record<string, Tamper>> = {
  'any commit is accepted': replacing('commit-mint', { begin: 1e12 }),
  'an overlap raises no doubt': dropping('commit-mint', 'suspect'),
  'a lost answer raises no doubt': replacing('fail-mint', { maybe: false }),
  'no intents': dropping('begin-mint', 'intents'),
  'a lock of 1 ms, and no intents': {
    arguments: (name, args) => (name === 'begin-mint' ? { ...args, lease_ms: 1 } : args),
    async after(name, { redis, keys }) {
      if (name === 'begin-mint') await redis.hdel(keys.record(ID), 'intents');
    },
  },
  'no quarantine': replacing('begin-mint', { quarantine_ms: 0 }),
  'no wait for a late request to settle': {
    arguments: (name, args) => (name === 'fail-mint' ? { ...args, settle_ms: 0 } : args),
  },
};
