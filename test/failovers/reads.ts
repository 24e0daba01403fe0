import { setTimeout as sleep } from 'node:timers/promises';
import { TOKENS, type Token } from './platform.ts';
import { replicaOf, type Stage } from './stage.ts';

/** Services that read every token over HTTP again and again, at both replicas in turn. */

const EVERY_MS = 500;
/** A reader waits for a mint for 9 s at the most. */
const GIVE_UP_MS = 12_000;

export interface Reads {
  count: number;
  /** Without a live token in the answer, by status; 0 is none at all. */
  dead: Map<number, number>;
  /** Milliseconds of the longest stretch between two live ones of a token with others between, by token. */
  stretches: Map<string, number>;
  /** Milliseconds until the slowest of all answers. */
  slowest: number;
  stop(): Promise<void>;
}

export function startReading(stage: Stage): Reads {
  // A pre_auth_code is handed out once: whoever reads it takes it.
  const shared = TOKENS.filter(({ kind }) => kind !== 'pre_auth_code');
  const state = { stopped: false };
  const reads: Reads = {
    count: 0,
    dead: new Map(),
    stretches: new Map(),
    slowest: 0,
    async stop() {
      state.stopped = true;
      await Promise.all(running);
    },
  };
  const running = shared.map((id, index) => readAgainAndAgain(stage, reads, id, index, state));
  return reads;
}

async function readAgainAndAgain(
  stage: Stage,
  reads: Reads,
  id: Token,
  index: number,
  state: Readonly<{ stopped: boolean }>,
): Promise<void> {
  const { stretches } = reads;
  const name = `${id.kind} of ${id.subject}`;
  let lastLive = performance.now();
  let wasDead = false;
  // Not all in the same moment.
  await sleep((index * EVERY_MS) / TOKENS.length);
  for (let round = index; !state.stopped; round += 1) {
    const begun = performance.now();
    const status = await read(stage, id, round);
    const took = performance.now() - begun;
    reads.count += 1;
    reads.slowest = Math.max(reads.slowest, took);
    if (status === 'live') {
      const stretch = begun + took - lastLive;
      if (wasDead) stretches.set(name, Math.max(stretches.get(name) ?? 0, stretch));
      lastLive = begun + took;
      wasDead = false;
    } else {
      wasDead = true;
      reads.dead.set(status, (reads.dead.get(status) ?? 0) + 1);
    }
    await sleep(Math.max(0, EVERY_MS - took));
  }
}

/** One that ends or begins while it is asked for is no fault. */
async function read(stage: Stage, { kind, subject }: Token, round: number) {
  const { internalUrl } = replicaOf(stage, round);
  const begun = Date.now();
  try {
    const response = await fetch(`${internalUrl}/v1/credentials/${kind}/${subject}`, {
      headers: { authorization: `Bearer ${stage.apiKey}` },
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    const { value = '' } = (await response.json()) as { value?: string };
    const { simulator } = stage;
    const isLive = simulator.isLive(kind, value, begun) || simulator.isLive(kind, value);
    return isLive ? 'live' : response.status;
  } catch {
    return 0;
  }
}
