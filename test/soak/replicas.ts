import type { Replica } from './replica.ts';
import type { Soak } from './soak.ts';
import type { Ears } from './targets.ts';

/** What happens to whole replicas. */

export async function startReplica({ station, passing }: Soak, replica: Replica): Promise<void> {
  await replica.wire.heal();
  replica.state = 'up';
  const started = replica.app.start();
  // Without Redis a start waits for it in real time.
  if (!station.redisUp) await started;
  else while ((await passing.now(started.then(() => true))) !== true) await passing.pass(1_000);
  await passing.settle();
}

/** In the orderly way: what is in flight is ended first. */
export async function stopReplica(soak: Soak, replica: Replica): Promise<void> {
  replica.state = 'down';
  const stopped = replica.app.stop().then(() => true);
  // What is in flight may need the clock.
  while ((await soak.passing.now(stopped)) !== true) await soak.go(1, 1);
}

/** `kill -9`: nothing of it is heard of again, whatever it was doing. */
export function crashReplica(replica: Replica): void {
  replica.state = 'down';
  replica.clock.freeze();
  replica.wire.blackhole();
  replica.ears.state = 'dead';
  // Cleans up in the background; its clock stands still, so it can do nothing more.
  void replica.app.stop();
}

/** A new process in the place of one that is down. */
export async function replaceReplica(soak: Soak, replica: Replica): Promise<void> {
  replica.clock = replica.newClock();
  replica.app = replica.makeApp(replica.clock);
  await startReplica(soak, replica);
}

export function freezeReplica(replica: Replica): void {
  replica.state = 'frozen';
  replica.clock.freeze();
  replica.wire.pause();
  replica.ears.state = 'frozen';
}

/** After a pause a process runs its late timers and reads its sockets, in either order. */
export async function thawReplica({ station, passing }: Soak, replica: Replica): Promise<void> {
  replica.state = 'up';
  const timersFirst = station.random.chance(0.5);
  if (timersFirst) replica.clock.thaw();
  replica.wire.resume();
  listenAgain(replica.ears);
  if (!timersFirst) {
    await passing.settle();
    replica.clock.thaw();
  }
  await passing.settle();
}

function listenAgain(ears: Ears): void {
  ears.state = 'open';
  for (const hear of ears.held.splice(0)) hear();
}
