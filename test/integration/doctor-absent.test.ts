import { afterEach, describe, expect, it } from 'vitest';
import { textReport } from '../../src/commands/doctor/report.ts';
import { admitPlatform, examinePlatform, lines, troubles } from '../kit/doctor.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { examine } from '../../src/commands/doctor/examine.ts';

/** What the doctor says when a whole part is not there. */

let platform: TestPlatform;
afterEach(() => platform.close());

describe('what a line says when', () => {
  it('no host of WeChat answers: asked once, and nobody is told to wait', async () => {
    platform = await createTestPlatform({ simulator: { hosts: 2 } });
    for (const index of [0, 1]) await platform.simulator.killHost(index);
    const checks = await examinePlatform(platform);
    expect(lines(checks, 'whitelist')).toMatchObject([
      { state: 'skipped', seen: { en: 'WeChat cannot be reached' } },
    ]);
  });

  it('no replica runs', async () => {
    platform = await createTestPlatform({ startApp: false });
    const checks = await examinePlatform(platform, { publicBaseUrl: undefined });
    expect(troubles(checks)).toContain('warn status replicas -');
    expect(lines(checks, 'callback')).toMatchObject([{ state: 'skipped' }]);
    // Which is why no ticket is there, too.
    expect(troubles(checks)).toContain(`failed tickets ${COMPONENT.appid} no_ticket`);
    expect(textReport(checks, 'en', [])).toMatch(
      /Begin with this:\n {2}WARN {5}Status, replicas {2}no wxkeeper runs/,
    );
  });

  it('no component is configured, only accounts: nothing to be pushed, nothing to be reached', async () => {
    platform = await createTestPlatform({ accounts: true });
    const installation = await admitPlatform(platform, {
      components: [],
      publicBaseUrl: undefined,
    });
    const checks = await examine(installation);
    const [setting, way] = [lines(checks, 'settings', 'PUBLIC'), lines(checks, 'callback')].flat();
    expect([setting?.state, way?.state]).toEqual(['skipped', 'skipped']);
    expect(way?.seen.en).toMatch(/^no component is configured/);
    expect(lines(checks, 'tickets')).toEqual([]);
    expect(troubles(checks).filter((one) => one.startsWith('failed'))).toEqual([]);
  });
});
