import { expect, onTestFinished } from 'vitest';
import { connectTo, close } from '../../src/commands/doctor/installation.ts';
import { orUnreachable } from '../../src/commands/doctor/examine.ts';
import { examineRedis } from '../../src/commands/doctor/redis.ts';
import { MACHINE } from './doctor.ts';
import type { ServiceStatus } from './observe.ts';
import type { TestPlatform } from './platform.ts';

/** What a person is told of a Redis that cannot be used, or not for everything. */
export interface Told {
  /** The errors in the log. */
  log: string;
  /** Of the status. */
  problem: ServiceStatus['components'][number]['problems'][number];
  /** The lines of the doctor about Redis. */
  doctor: string;
}

/** @param secrets must stand nowhere in it */
export async function toldOfRedis(
  platform: TestPlatform,
  secrets: readonly string[],
  code = 'store_unavailable',
): Promise<Told> {
  const { problems } = (await (await platform.internal('/status')).json()) as {
    problems: Told['problem'][];
  };
  const problem = problems.find((one) => one.code === code);
  if (problem === undefined) throw new Error(`no ${code} in ${JSON.stringify(problems)}`);
  const installation = await connectTo(platform.config, { env: {}, machine: MACHINE });
  onTestFinished(() => close(installation));
  const doctor = JSON.stringify(
    await orUnreachable(installation, () => examineRedis(installation)),
  );
  const log = JSON.stringify(platform.logs.filter(({ level }) => level === 'error'));
  const all = JSON.stringify(platform.logs) + JSON.stringify(problems) + doctor;
  for (const secret of secrets) expect(all).not.toContain(secret);
  return { log, problem, doctor };
}
