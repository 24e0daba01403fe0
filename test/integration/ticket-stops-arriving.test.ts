import { afterEach, describe, expect, it } from 'vitest';
import { TOKEN, watchMirrors } from '../support/liveness.ts';
import { COMPONENT, createStation, HOUR, MINUTE, type Station } from '../support/station.ts';

interface Status {
  verdict: string;
  problems: { code: string; message: string; advice: string }[];
  components: { ticket: { state: string }; credentials: { kind: string; state: string }[] }[];
}

const readStatus = async (station: Station) =>
  (await (await station.internal('/status')).json()) as Status;

/** A service that refreshes only when a ticket arrives is dead two hours after the last one. */
describe('pushes stop after the first ticket', () => {
  let station: Station;
  afterEach(() => station.close());

  it('keeps both credentials alive from the one ticket, says so when it dies, and heals by itself', async () => {
    station = await createStation();
    const { simulator, internal } = station;
    await simulator.pushTicket();
    await station.settle();
    expect(await watchMirrors(station, (11.5 * HOUR) / 1000)).toEqual([]);
    expect((await readStatus(station)).problems.map((one) => one.code)).toEqual(['ticket_silent']);

    await station.pass(30 * MINUTE);
    const atTwelve = await readStatus(station);
    expect(atTwelve.verdict).toBe('attention');
    expect(atTwelve.components[0]?.ticket.state).toBe('ticket_expired');
    const problem = atTwelve.problems.find((one) => one.code === 'ticket_expired');
    expect(problem?.advice).toContain('authorization-event URL');
    expect(problem?.advice).toContain('repairs everything by itself');

    // The last token lives on for at most its two hours; then callers are told why.
    await station.pass(2 * HOUR);
    const answer = await internal(`/v1/credentials/component_access_token/${COMPONENT.appid}`);
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('60');
    expect(await answer.json()).toMatchObject({ error: { code: 'ticket_expired' } });

    await simulator.pushTicket();
    await station.settle();
    const healed = await readStatus(station);
    expect(healed.verdict).toBe('ok');
    expect(healed.components[0]?.credentials.map((one) => one.state)).toEqual(['fresh', 'fresh']);
    const value = await station.redis.get(station.keys.mirror(TOKEN));
    expect(simulator.isLive('component_access_token', value ?? '')).toBe(true);
  });
});
