import type { TestPlatform } from './platform.ts';

/** A scrape as Prometheus would make it. */

export async function scrape(
  platform: Pick<TestPlatform, 'apiKey' | 'app'>,
  port = platform.app.internalPort(),
): Promise<string> {
  const headers = { authorization: `Bearer ${platform.apiKey}` };
  return (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text();
}

/** Every sample by its name and labels, as they stand in the text. */
export async function readMetrics(
  platform: Pick<TestPlatform, 'apiKey' | 'app'>,
  port?: number,
): Promise<Record<string, number>> {
  const lines = (await scrape(platform, port)).split('\n');
  return Object.fromEntries(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const end = line.lastIndexOf(' ');
        return [line.slice(0, end), Number(line.slice(end + 1))];
      }),
  );
}

/** The names of all metrics of a text, as they are declared there. */
export function declaredNames(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name = '']) => name);
}
