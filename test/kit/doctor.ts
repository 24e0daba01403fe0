import { onTestFinished } from 'vitest';
import type { Check } from '../../src/commands/doctor/check.ts';
import { examine } from '../../src/commands/doctor/examine.ts';
import {
  connectTo,
  close,
  type Installation,
  type InstallationOptions,
} from '../../src/commands/doctor/installation.ts';
import type { Config } from '../../src/config/load.ts';
import type { TestPlatform } from './platform.ts';

/** A machine of which there is nothing to say. */
export const MACHINE = { nodeVersion: 'v24.0.0', inContainer: false, dotenv: '/nowhere/.env' };

/** The installation of a platform, as the doctor sees it, with its callback on this machine. */
export async function admitPlatform(
  platform: TestPlatform,
  settings: Partial<Config> = {},
  options: InstallationOptions = {},
): Promise<Installation> {
  const config = { ...platform.config, publicBaseUrl: platform.publicUrl(''), ...settings };
  const { clock } = platform;
  const installation = await connectTo(config, { clock, env: {}, machine: MACHINE, ...options });
  onTestFinished(() => close(installation));
  return installation;
}

export async function examinePlatform(
  platform: TestPlatform,
  settings: Partial<Config> = {},
  options: InstallationOptions = {},
): Promise<Check[]> {
  return examine(await admitPlatform(platform, settings, options));
}

/** The lines about one thing, by group and the beginning of its name. */
export function lines(checks: readonly Check[], group: Check['group'], name = ''): Check[] {
  return checks.filter((one) => one.group === group && one.name.en.startsWith(name));
}

/** What is not well, as short as can be. */
export function troubles(checks: readonly Check[]): string[] {
  return checks
    .filter(({ state }) => state === 'failed' || state === 'warn')
    .map(({ group, name, state, code }) => `${state} ${group} ${name.en} ${code ?? '-'}`);
}
