import { startRedisServer } from '../../../src/sandbox/redis/launch.ts';
import { singleAccess } from './access.ts';
import { startCluster } from './cluster.ts';
import { startSentinel } from './sentinel.ts';
import { handles, stop, whole, type RedisShape, type ShapeOptions } from './server.ts';
import { startTls } from './tls.ts';
import { findValkey } from './valkey.ts';

/** The shapes in which production runs Redis, each of private processes on loopback. */

export const SHAPES = ['single', 'sentinel', 'cluster', 'tls', 'valkey'] as const;
export type ShapeName = (typeof SHAPES)[number];

export function isShapeName(name: string): name is ShapeName {
  return (SHAPES as readonly string[]).includes(name);
}

/** Those that want more than `servers` call the function of their shape. */
export async function startRedisShape(name: ShapeName): Promise<RedisShape> {
  switch (name) {
    case 'single':
      return await startSingle();
    case 'sentinel':
      return await startSentinel();
    case 'cluster':
      return await startCluster();
    case 'tls':
      return await startTls();
    case 'valkey':
      return await startSingle({ binary: await findValkey() });
  }
}

export interface SingleOptions extends ShapeOptions {
  /** What it holds outlives its process. */
  appendOnly?: boolean;
}

/** On a socket, as most tests have it. */
export function startSingle({
  binary,
  appendOnly = false,
}: SingleOptions = {}): Promise<RedisShape> {
  return whole(async (undo) => {
    const server = await startRedisServer({
      ...(binary && { binary }),
      appendOnly,
      say: (line) => process.stderr.write(`${line}\n`),
    });
    undo.push(() => stop(server));
    const { url } = server;
    return {
      ...singleAccess(url),
      servers: [{ ...handles(server), url, port: 0, network: undefined }],
    };
  });
}
